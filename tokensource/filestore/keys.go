package filestore

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-9a12f4e2/pawl/tokensource"
	"github.com/seed-9a12f4e2/pawl/tokensource/internal/sealedfile"
)

// keys is where the sealing key comes from.
type keys interface {
	// find returns the zero Key where there is none yet, or none any more.
	find(ctx context.Context) (sealedfile.Key, error)
	// have makes a key where there is none.
	have(ctx context.Context) (sealedfile.Key, error)
}

// plainKey seals nothing.
type plainKey struct{}

func (plainKey) find(context.Context) (sealedfile.Key, error) { return sealedfile.Plain(), nil }
func (plainKey) have(context.Context) (sealedfile.Key, error) { return sealedfile.Plain(), nil }

// keyFunc is a key of the program's own, which it can always find.
type keyFunc func(context.Context) ([]byte, error)

func (f keyFunc) have(ctx context.Context) (sealedfile.Key, error) { return f.find(ctx) }

func (f keyFunc) find(ctx context.Context) (sealedfile.Key, error) {
	raw, err := f(ctx)
	if err != nil {
		var typed *tokensource.Error
		if errors.As(err, &typed) {
			return sealedfile.Key{}, err
		}
		return sealedfile.Key{}, &tokensource.Error{
			Reason: tokensource.ReasonStore, Advice: "see to it that Config.Key of the filestore finds the key", Err: err}
	}
	return usable(raw, "Config.Key of the filestore must return 32 random bytes")
}

func usable(raw []byte, advice string) (sealedfile.Key, error) {
	k, err := sealedfile.KeyOf(raw)
	if err != nil {
		return sealedfile.Key{}, &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: advice, Err: err}
	}
	return k, nil
}

const howToMake = "make a key with: openssl rand -base64 32"

// KeyFromEnv returns a [Config.Key] that takes the key from an environment
// variable: 32 bytes in base64 or hexadecimal, as `openssl rand -base64 32`
// makes them. A passphrase is refused, since everyone's guess at it would be a
// key.
//
// Other programs of the same user can read the environment of this one, and the
// programs that it starts inherit it.
func KeyFromEnv(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		text := os.Getenv(name)
		if text == "" {
			return nil, noKey("set $"+name+" to a key; "+howToMake, "filestore: $"+name+" is not set")
		}
		raw := decodeKey(text)
		if raw == nil {
			return nil, badKey("$" + name)
		}
		return raw, nil
	}
}

// KeyFromCredential returns a [Config.Key] that takes the key from a credential
// of a systemd service: the file of that name in $CREDENTIALS_DIRECTORY, which
// LoadCredential= or LoadCredentialEncrypted= of the unit puts there
// (systemd.exec(5)). It holds 32 bytes, or those in base64 or hexadecimal. A
// passphrase is refused.
func KeyFromCredential(name string) func(context.Context) ([]byte, error) {
	return func(context.Context) ([]byte, error) {
		if name == "" || name == "." || name == ".." || filepath.Base(name) != name {
			return nil, &tokensource.Error{Reason: tokensource.ReasonFormat,
				Err: fmt.Errorf("filestore: %q is no name of a credential", name)}
		}
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, noKey("run it as a service of systemd with LoadCredential="+name+":...", "filestore: $CREDENTIALS_DIRECTORY is not set")
		}
		raw, err := readCredential(filepath.Join(dir, name))
		if err != nil {
			return nil, noKey("give the unit a LoadCredential="+name+":...", "filestore: reading the credential: "+err.Error())
		}
		// Of 32 random bytes, one in 10 to the 13th would be all text.
		if len(raw) == 32 && !printable(raw) {
			return raw, nil
		}
		if raw = decodeKey(string(raw)); raw == nil {
			return nil, badKey("the credential " + name)
		}
		return raw, nil
	}
}

// maxCredential is far more than any spelling of a key takes.
const maxCredential = 1024

func readCredential(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxCredential))
	return raw, errors.Join(err, f.Close())
}

func printable(raw []byte) bool {
	for _, c := range raw {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// decodeKey returns nil for what is not 32 bytes in hexadecimal or base64. 64
// hexadecimal digits are base64 as well, but of 48 bytes.
func decodeKey(text string) []byte {
	text = strings.TrimSpace(text)
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == 32 {
		return raw
	}
	text = strings.TrimRight(text, "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if raw, err := e.DecodeString(text); err == nil && len(raw) == 32 {
			return raw
		}
	}
	return nil
}

func noKey(advice, what string) error {
	return &tokensource.Error{Reason: tokensource.ReasonStore, Advice: advice, Err: errors.New(what)}
}

func badKey(where string) error {
	return &tokensource.Error{Reason: tokensource.ReasonFormat, Advice: howToMake,
		Err: fmt.Errorf("filestore: %s does not hold 32 bytes in base64 or hexadecimal; a passphrase is no key", where)}
}
