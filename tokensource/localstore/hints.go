package localstore

import (
	"bytes"
	"os"
)

// hints names what a person may want to know beside the choice. None of it
// decides: a container may have a keyring, and a desktop a variable named CI.
func hints() []string {
	var found []string
	if ci := os.Getenv("CI"); ci != "" && ci != "false" {
		found = append(found, "CI")
	}
	if os.Getenv("SSH_CONNECTION") != "" {
		found = append(found, "SSH")
	}
	if exists("/.dockerenv") || exists("/run/.containerenv") || os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		found = append(found, "container")
	}
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil && bytes.Contains(bytes.ToLower(release), []byte("microsoft")) {
		found = append(found, "WSL")
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
