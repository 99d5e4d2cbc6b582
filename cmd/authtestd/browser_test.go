package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tab is one of a real Chromium whose pages may run no script.
type tab struct {
	context.Context
	*program
	dark  bool
	width int64 // of pictures; zero: pageWidth

	mu         sync.Mutex // guards complaints; never held across I/O, timers or callbacks
	complaints []string   // of the browser: blocked by policy, failed to load
}

// chromium is one browser for all tests.
var chromium browser

type browser struct {
	once sync.Once
	ctx  context.Context
	err  error
}

// start runs it as whoever runs the tests, who in a container is root: then it
// has no sandbox.
func (b *browser) start() (context.Context, error) {
	b.once.Do(func() {
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath("chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
			chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("hide-scrollbars", true))
		allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
		b.ctx, _ = chromedp.NewContext(allocator)
		b.err = chromedp.Do(b.ctx)
	})
	return b.ctx, b.err
}

func (b *browser) stop() {
	if b.ctx != nil {
		_ = chromedp.Cancel(b.ctx)
	}
}

// open opens a tab with cookies of its own.
func open(t *testing.T, p *program, dark bool) *tab {
	t.Helper()
	needs(t, "chromium")
	browser, err := chromium.start()
	require.NoError(t, err)
	ctx, closeTab := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	require.NoError(t, chromedp.Do(ctx)) // the first call must have no deadline: it opens the tab
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(cancel)
	b := &tab{Context: ctx, program: p, dark: dark}
	require.NoError(t, chromedp.Listen(ctx, b.listen))
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	_, err = chromedp.Call(ctx, cdplog.Enable, cdp.Empty{})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		assert.Empty(t, b.complaints, "what the browser complained of")
	})
	return b
}

// listen keeps what the console of the browser would show in red. A page that
// is answered with 4xx is none of it.
func (b *tab) listen(event any) {
	complaint := ""
	switch e := event.(type) {
	case *cdplog.EventEntryAdded:
		if e.Entry.Level == cdplog.EntryLevelError && e.Entry.Source != cdplog.EntrySourceNetwork {
			complaint = e.Entry.Text
		}
	case *runtime.EventExceptionThrown:
		complaint = e.ExceptionDetails.Text
	}
	if complaint != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.complaints = append(b.complaints, complaint)
	}
}

func (b *tab) do(t *testing.T, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	require.NoError(t, chromedp.Do(b, steps...))
}

func (b *tab) visit(t *testing.T, path string) {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = b.url() + path
	}
	b.do(t, chromedp.Navigate(path), chromedp.WaitVisible(chromedp.CSS("main")))
}

// press clicks what matches and waits for the page that follows.
func (b *tab) press(t *testing.T, selector string) {
	t.Helper()
	_, err := chromedp.RunResponse(b, chromedp.Click(chromedp.CSS(selector)))
	require.NoError(t, err, selector)
}

// typed sends keys to whatever has the focus, ends with Enter and waits for
// the page that follows.
func (b *tab) typed(t *testing.T, keys string) {
	t.Helper()
	_, err := chromedp.RunResponse(b, chromedp.KeyEvent(keys+kb.Enter))
	require.NoError(t, err)
}

func (b *tab) text(t *testing.T) string {
	t.Helper()
	text, err := chromedp.Run(b, chromedp.Text(chromedp.CSS("main")))
	require.NoError(t, err)
	return text
}

func (b *tab) location(t *testing.T) string {
	t.Helper()
	url, err := chromedp.Run(b, chromedp.Location())
	require.NoError(t, err)
	return url
}

// named asserts that whatever takes input says what it is for to somebody who
// does not see it.
func (b *tab) named(t *testing.T) {
	t.Helper()
	tree, err := chromedp.Call(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(t, err)
	roles := map[string]int{}
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		role := strings.Trim(string(n.Role.Value), `"`)
		roles[role]++
		switch role {
		case "button", "link", "textbox", "combobox", "heading", "region", "RootWebArea", "navigation":
			assert.NotEqual(t, `""`, nameOf(n), "a %s without a name at %s", role, b.location(t))
		}
	}
	assert.Equal(t, 1, roles["main"], b.location(t))
	assert.Equal(t, 1, roles["RootWebArea"], b.location(t))
}

func nameOf(n *accessibility.Node) string {
	if n.Name == nil {
		return `""`
	}
	return string(n.Name.Value)
}

// TestAPersonSignsInByKeyboardAlone walks the code flow the way a browser
// does, which applies the policy of a page to the redirects of its forms, too.
func TestAPersonSignsInByKeyboardAlone(t *testing.T) {
	t.Parallel()
	arrived := make(chan string, 1)
	client := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			arrived <- r.URL.RawQuery
		}
		_, _ = w.Write([]byte("<!doctype html><title>Client</title><main>back</main>"))
	}))
	defer client.Close()
	b := open(t, run(t), false)
	b.visit(t, "/oauth/authorize?response_type=code&client_id=cli&state=here&scope=openid&code_challenge_method=S256"+
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&redirect_uri="+client.URL+"/callback")
	b.named(t)
	b.typed(t, "alice\tguess")
	assert.Contains(t, b.text(t), "The user name or the password is wrong.")
	b.typed(t, "secret") // the name is filled in, so the focus is on the password
	assert.Contains(t, b.text(t), "This is a test server.")
	b.named(t)
	b.do(t, chromedp.Focus(chromedp.CSS(`button[value=approve]`)))
	b.typed(t, "")
	assert.Equal(t, "back", b.text(t))
	select {
	case query := <-arrived:
		assert.Contains(t, query, "code=")
		assert.Contains(t, query, "state=here")
	case <-time.After(patience):
		assert.Fail(t, "the browser did not arrive at the client: "+b.location(t))
	}
}

func TestAPersonConnectsADevice(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := open(t, run(t), false)
	_, body := curl(t, b.url()+"/oauth/device_authorization", "-d", "client_id=cli", "-d", "scope=notes")
	code := field(t, body, "user_code")
	b.visit(t, "/device")
	b.named(t)
	b.typed(t, strings.ToLower(strings.ReplaceAll(code, "-", "")))
	b.press(t, `button[value=alice]`)
	assert.Contains(t, b.text(t), code)
	b.named(t)
	b.press(t, `button[value=approve]`)
	assert.Contains(t, b.text(t), "The device is signed in.")
	status, tokens := curl(t, b.env["AUTHTEST_TOKEN_URL"], "-d", "grant_type=urn:ietf:params:oauth:grant-type:device_code",
		"-d", "client_id=cli", "-d", "device_code="+field(t, body, "device_code"))
	assert.Equal(t, "200", status, tokens)
}

func TestAPersonSignsOutADevice(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := open(t, run(t), false)
	laptop, _ := b.login(t), b.login(t)
	b.visit(t, "/sessions")
	b.named(t)
	b.press(t, `button[value=alice]`)
	assert.Equal(t, 2, strings.Count(b.text(t), "test"))
	b.named(t)
	b.press(t, `li:nth-child(2) button`)
	assert.Contains(t, b.text(t), "test is signed out.")
	status, _ := b.refresh(t, laptop.RefreshToken)
	assert.Equal(t, "401", status)
	b.press(t, `button[value=all]`)
	b.named(t)
	b.typed(t, "secret")
	assert.Contains(t, b.text(t), "You are signed out everywhere.")
}

func TestThePersonWhoTestsUsesTheDashboard(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := open(t, run(t), true)
	tokens := b.login(t)
	b.visit(t, "/_test/")
	b.named(t)
	b.press(t, `button[value=lose]`)
	assert.Contains(t, b.text(t), "In force: fault on refresh at after-commit")
	b.lose(t, tokens.RefreshToken)
	b.press(t, `button[value=advance]`)
	assert.Contains(t, b.text(t), "Ahead of the real time")
	b.press(t, `#sessions ~ div a`)
	assert.Contains(t, b.text(t), "answer lost")
	b.named(t)
}

// With its script the page shows what happens as it happens, under the same
// policy: a complaint of the browser about it fails the test.
func TestTheDashboardKeepsItselfUpToDate(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := open(t, run(t), false)
	b.runScripts(t)
	b.visit(t, "/_test/")
	b.shows(t, "Live: what happens shows here at once.")
	b.do(t, chromedp.Focus(chromedp.CSS("#by")), chromedp.KeyEvent("7"))
	tokens := b.login(t)
	b.shows(t, "POST /login")
	b.press(t, `#gates ~ form button`)
	held := exec.CommandContext(t.Context(), "curl", "-sS", b.url()+"/refresh", "--json", `{"refreshToken":"`+tokens.RefreshToken+`"}`)
	require.NoError(t, held.Start())
	b.shows(t, "1 waiting") // though nothing was answered
	// What is live may be replaced while the test aims at it, so it presses nothing there.
	b.ask(t, "200", "/_test/gates/1/release", "--json", `{"all":true}`)
	require.NoError(t, held.Wait())
	b.shows(t, "POST /refresh")
	b.visit(t, "/_test/ui/session/"+regexp.MustCompile(`ses_\w+`).FindString(b.ask(t, "200", "/_test/state")))
	b.shows(t, "Live: what happens shows here at once.")
	b.named(t)
	status, _ := b.refresh(t, tokens.RefreshToken)
	assert.Equal(t, "401", status)
	b.shows(t, "reuse_detected")
}

// runScripts lets the pages of the tab do what few of them can.
func (b *tab) runScripts(t *testing.T) {
	t.Helper()
	_, err := chromedp.Call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})
	require.NoError(t, err)
}

// shows waits until the page says something: no other page is loaded for that.
func (b *tab) shows(t *testing.T, text string) {
	t.Helper()
	pace, deadline := time.NewTicker(50*time.Millisecond), time.After(patience)
	defer pace.Stop()
	for !strings.Contains(b.text(t), text) {
		select {
		case <-pace.C:
		case <-deadline:
			require.FailNow(t, "the page does not say "+text, b.text(t))
		}
	}
}

func field(t *testing.T, body, name string) string {
	t.Helper()
	var members map[string]any
	unmarshal(t, body, &members)
	value, ok := members[name].(string)
	require.True(t, ok, "%s in %s", name, body)
	return value
}

func unmarshal(t *testing.T, body string, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), v), body)
}
