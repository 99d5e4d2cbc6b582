package keyringstore

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// What the keyrings take, in bytes. A store stays below all of it on every
// system, see maxEntry and serviceName; this is the last look before go-keyring,
// which starts a process before it looks and leaves it behind.
const (
	windowsSecret  = 2560 // of a credential's blob; go-keyring writes one byte per byte
	windowsService = 511
	windowsUser    = 513 // CRED_MAX_USERNAME

	// Apple's tool reads lines of 4,096 bytes; whether that counts the end
	// of the line is not documented, so the line stays well below.
	macSecret = 2900
	macLine   = 4000
)

// acceptable tells whether the keyring of goos takes a secret under a name as
// they are. An empty secret is judged as a name alone.
func acceptable(goos, service, user, secret string) error {
	if strings.ContainsRune(service+user, 0) {
		return refuse("a NUL in a name")
	}
	switch goos {
	case "windows":
		return acceptableToWindows(service, user, secret)
	case "darwin":
		return acceptableToMac(service, user, secret)
	}
	return nil
}

func acceptableToWindows(service, user, secret string) error {
	switch {
	case len(secret) > windowsSecret:
		return refuse("a secret of %d bytes; Windows takes %d", len(secret), windowsSecret)
	case len(service) > windowsService:
		return refuse("a service of %d bytes; Windows takes %d", len(service), windowsService)
	case len(user) > windowsUser:
		return refuse("a user of %d bytes; Windows takes %d", len(user), windowsUser)
	case strings.Contains(service, ":"):
		// Service and user are joined with a colon: "a", "b:c" and "a:b",
		// "c" would be one credential.
		return refuse("a colon in the service")
	}
	return nil
}

func acceptableToMac(service, user, secret string) error {
	if strings.ContainsAny(service+user, "'\"\\\r\n") {
		// The tool's own parser reads a backslash inside quotes, and ends a
		// word at a closing quote.
		return refuse("a quote, a backslash or a line break in a name")
	}
	if len(secret) > macSecret {
		return refuse("a secret of %d bytes; macOS takes %d", len(secret), macSecret)
	}
	const command = "add-generic-password -U -s '' -a '' -w 'go-keyring-base64:'\n"
	line := len(command) + len(service) + len(user) + base64.StdEncoding.EncodedLen(len(secret))
	if line > macLine {
		return refuse("a command line of %d bytes; macOS takes %d", line, macLine)
	}
	return nil
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: it was not given "+format, append([]any{ErrFailed}, args...)...)
}
