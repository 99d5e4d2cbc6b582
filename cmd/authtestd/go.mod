module github.com/seed-9a12f4e2/pawl/cmd/authtestd

go 1.26.0

replace github.com/seed-9a12f4e2/pawl => ../..

require (
	github.com/seed-9a12f4e2/pawl v0.0.0-00010101000000-000000000000
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/golang-jwt/jwt/v5 v5.3.1 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/time v0.16.0 // indirect
)
