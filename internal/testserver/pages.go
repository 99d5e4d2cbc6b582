package testserver

import (
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed pages
var pageFiles embed.FS

// Pages is the endpoint of all that a person sees in a browser, apart from the
// dashboard, which no fault touches.
const Pages Endpoint = "pages"

// maxPageForm is far more than any form of ours holds.
const maxPageForm = 64 << 10

// pages are the templates and what guards the forms.
type pages struct {
	// templates are parsed when the first page is asked for: most servers live
	// in a test and show none.
	templates func() (map[string]*template.Template, error)
	// guard refuses forms that another site sent. Requests that no browser made
	// pass: they carry nobody's cookie.
	guard *http.CrossOriginProtection
}

func newPages() *pages {
	return &pages{templates: sync.OnceValues(parsePages), guard: http.NewCrossOriginProtection()}
}

func parsePages() (map[string]*template.Template, error) {
	shared := []string{"pages/layout.html", "pages/parts/*.html"}
	files, err := pageFiles.ReadDir("pages")
	if err != nil {
		return nil, err
	}
	all := make(map[string]*template.Template)
	for _, f := range files {
		name := "pages/" + f.Name()
		if !strings.HasSuffix(name, ".html") || slices.Contains(shared, name) {
			continue
		}
		t, err := template.ParseFS(pageFiles, append(shared, name)...)
		if err != nil {
			return nil, err
		}
		all[strings.TrimSuffix(f.Name(), ".html")] = t
	}
	return all, nil
}

// view is one page to be shown.
type view struct {
	name    string // of its template
	status  int    // zero: 200
	outcome Outcome
	title   string
	user    string // who is signed in
	width   string // class of the main element; empty: narrow
	nav     string // which of the navigation's pages this is; empty: no navigation
	reload  int    // seconds until the browser asks again; zero: never
	live    string // path under which the page's script finds it again; empty: no script
	// ends is where a form of the page may lead to, beside this server: a
	// browser applies form-action to redirects, too.
	ends string
	data any
}

// frame is what the layout is shown.
type frame struct {
	Title, Base, Width, User, Profile string
	Live                              string
	Reload                            int
	Nav                               []navItem
	Data                              any
}

type navItem struct {
	Name, Path string
	Current    bool
}

// show renders a page. A page that cannot be rendered is a bug of ours, and
// still an answer.
func (s *Server) show(r *http.Request, v view) reply {
	templates, err := s.pages.templates()
	if err == nil && templates[v.name] == nil {
		err = fmt.Errorf("testserver: there is no page %q", v.name)
	}
	var body strings.Builder
	if err == nil {
		err = templates[v.name].ExecuteTemplate(&body, "layout", frame{
			Title: v.title, Base: s.path, Width: v.width, User: v.user, Profile: s.profileTitle(),
			Reload: v.reload, Live: v.live, Nav: navigation(v.nav), Data: v.data,
		})
	}
	header := http.Header{"Content-Type": {"text/html; charset=utf-8"}, "Cache-Control": {"no-store"}}
	secure(header, v.ends)
	if v.live != "" {
		allowScript(header)
	}
	if err != nil {
		s.log.ErrorContext(r.Context(), "rendering a page", "page", v.name, "error", err)
		return reply{outcome: Failed, Answer: Answer{Status: http.StatusInternalServerError, Header: header, Body: "Internal error\n"}}
	}
	return reply{outcome: v.outcome, Answer: Answer{Status: v.status, Header: header, Body: body.String()}}
}

func navigation(current string) []navItem {
	if current == "" {
		return nil
	}
	items := []navItem{{Name: "Your devices", Path: devicesPath}, {Name: "Dashboard", Path: dashboardPath}, {Name: "Token decoder", Path: decoderPath}}
	for i := range items {
		items[i].Current = items[i].Path == current
	}
	return items
}

// secure allows a page its style sheet and its forms, and nothing else: no
// script (but see allowScript), no frame, no other host. The referrer stays on this server, because
// an address may hold the id of a request.
func secure(h http.Header, ends string) {
	forms := "'self'"
	if source := formSource(ends); source != "" {
		forms += " " + source
	}
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; form-action "+forms+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// allowScript adds the dashboard's own script, which is a file of this server,
// and what it asks this server for.
func allowScript(h http.Header) {
	h.Set("Content-Security-Policy", h.Get("Content-Security-Policy")+"; script-src 'self'; connect-src 'self'")
}

// What a source of Content Security Policy 3 2.3.1 can say of a URI.
var (
	sourceScheme = regexp.MustCompile(`^[a-z][a-z0-9+.-]*$`)
	sourceHost   = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
)

// formSource is the source that covers a redirect URI. One with an IPv6
// address has no word for its host; its scheme has to do.
func formSource(uri string) string {
	u, err := url.Parse(uri)
	if uri == "" || err != nil || !sourceScheme.MatchString(u.Scheme) {
		return ""
	}
	if sourceHost.MatchString(u.Host) && (u.Scheme == "http" || u.Scheme == "https") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// page is the handler of something that a person sees. A form comes in with at
// most maxPageForm bytes, from this server's own pages.
func (s *Server) page(h func(*exchange) reply) http.HandlerFunc {
	guarded := s.guarded(func(w http.ResponseWriter, r *http.Request) {
		s.run(&exchange{w: w, r: r, endpoint: Pages}, func(x *exchange) (*reply, func() reply) {
			if rep := s.readPageForm(x.w, x.r); rep != nil {
				return rep, nil
			}
			return nil, func() reply { return h(x) }
		})
	})
	return guarded.ServeHTTP
}

// guarded refuses what another site sent.
func (s *Server) guarded(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.pages.guard.Check(r) == nil {
			h(w, r)
			return
		}
		s.run(&exchange{w: w, r: r, endpoint: Pages}, func(x *exchange) (*reply, func() reply) {
			return refuse(s.errorPage(x.r, http.StatusForbidden, "cross_origin_request", "This form was sent by another site."))
		})
	})
}

// readPageForm fills r.PostForm.
func (s *Server) readPageForm(w http.ResponseWriter, r *http.Request) *reply {
	if r.Method != http.MethodPost {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPageForm)
	if r.ParseForm() == nil {
		return nil
	}
	rep := s.errorPage(r, http.StatusBadRequest, "invalid_request", "This form cannot be read.")
	return &rep
}

// forPeople reports that a page is wanted rather than JSON: a program that has
// an access token sends it, and does not ask for HTML.
func forPeople(r *http.Request) bool {
	return r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// asset serves what pages refer to.
func (s *Server) asset(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header(), "")
		w.Header().Set("Cache-Control", "max-age=3600")
		http.ServeFileFS(w, r, pageFiles, "pages/"+name)
	}
}

// between says a length of time in the largest unit that fits, and the next.
func between(d time.Duration) string {
	d = d.Round(time.Second)
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.length {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.length, u.name)
		if i+1 < len(units) {
			if rest := d % u.length / units[i+1].length; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

// ago and ahead say when something was or will be, seen from now.
func ago(now, t time.Time) string {
	if d := now.Sub(t); d >= time.Second {
		return between(d) + " ago"
	}
	return "just now"
}

func ahead(now, t time.Time) string {
	if d := t.Sub(now); d >= time.Second {
		return "in " + between(d)
	}
	return "now"
}
