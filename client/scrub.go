package client

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"unicode"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// scrubber makes text of a server fit for an error: short, printable and
// without what was sent there. Servers do echo a token in error_description.
type scrubber struct{ secrets []string }

func newScrubber(secrets []tokensource.Secret) scrubber {
	var s scrubber
	for _, secret := range secrets {
		if secret.IsZero() {
			continue
		}
		plain := secret.Reveal()
		inJSON, _ := json.Marshal(plain)
		// As it is, and as the request held it: servers echo that, too.
		s.secrets = append(s.secrets, plain, url.QueryEscape(plain), string(inJSON[1:len(inJSON)-1]))
	}
	return s
}

// text returns at most limit characters of in.
func (s scrubber) text(in string, limit int) string {
	for _, secret := range s.secrets {
		in = strings.ReplaceAll(in, secret, "[redacted]")
	}
	var out strings.Builder
	for _, r := range in {
		if limit == 0 {
			break
		}
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			continue
		}
		out.WriteRune(r)
		limit--
	}
	return out.String()
}

// err returns err, or its scrubbed text where the text needs it.
func (s scrubber) err(err error) error {
	const limit = 500
	if text := s.text(err.Error(), limit); text != err.Error() {
		return errors.New(text)
	}
	return err
}
