module github.com/seed-9a12f4e2/pawl/bench

go 1.26.0

replace github.com/seed-9a12f4e2/pawl => ../

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/seed-9a12f4e2/pawl v0.0.0-00010101000000-000000000000
	golang.org/x/oauth2 v0.37.0
)

require (
	github.com/aws/smithy-go v1.28.8 // indirect
	github.com/danieljoos/wincred v1.2.3 // indirect
	github.com/godbus/dbus/v5 v5.2.4 // indirect
	github.com/zalando/go-keyring v0.2.8 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
