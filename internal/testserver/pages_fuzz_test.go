package testserver_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// FuzzPages sends people's forms with whatever in them: no page breaks, none
// shows markup that came in, and none leads to another site. What it begins with
// is in testdata.
func FuzzPages(f *testing.F) {
	paths := []string{
		"/ui/login", "/ui/logout", "/ui/sessions", "/sessions", "/device", "/oauth/interaction", "/oauth/logout",
		"/_test/", "/_test/ui/clock", "/_test/ui/faults", "/_test/ui/gates", "/_test/ui/scripts", "/_test/ui/server",
		"/_test/ui/users", "/_test/ui/sessions", "/_test/ui/profile", "/_test/ui/key", "/_test/ui/decoder",
	}
	f.Fuzz(func(t *testing.T, page byte, form, query string) {
		var log bytes.Buffer
		b := logged(t, &log, nil)
		path := paths[int(page)%len(paths)]
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			u := b.visitor()
			require.Equal(t, http.StatusSeeOther, u.submit("/ui/login", "as", "alice").Code)
			r := request(method, path, "application/x-www-form-urlencoded", form)
			r.URL.RawQuery = query
			a := u.send(r)
			if a.dropped { // a fault of the form's own making
				continue
			}
			name := method + " " + path
			assert.Less(t, a.Code, 500, "%s: %s", name, &log)
			assert.NotContains(t, withoutOurs(a.Body.String()), "<script", name)
			to, err := url.Parse(a.Header().Get("Location"))
			require.NoError(t, err, name)
			assert.Empty(t, to.Host, name)
			assert.False(t, strings.HasPrefix(to.Path, "//"), name)
		}
	})
}
