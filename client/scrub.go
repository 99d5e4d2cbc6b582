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
		for _, form := range []string{plain, url.QueryEscape(plain), string(inJSON[1 : len(inJSON)-1])} {
			if form = printable(form); form != "" {
				s.secrets = append(s.secrets, form)
			}
		}
	}
	return s
}

// text returns at most limit characters of in. What cannot be printed goes
// first: between two halves of a secret it would hide them from the search.
func (s scrubber) text(in string, limit int) string {
	in = printable(in)
	for _, secret := range s.secrets {
		in = strings.ReplaceAll(in, secret, "[redacted]")
	}
	for i := range in {
		if limit == 0 {
			return in[:i]
		}
		limit--
	}
	return in
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// err returns err, or its scrubbed text where the text needs it.
func (s scrubber) err(err error) error {
	const limit = 500
	if text := s.text(err.Error(), limit); text != err.Error() {
		return errors.New(text)
	}
	return err
}
