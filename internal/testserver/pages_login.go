package testserver

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Where people sign in and out when no client sent them.
const (
	signInPath  = "/ui/login"
	signOutPath = "/ui/logout"
)

type loginData struct {
	Action     string
	Hidden     []field
	Client     string // who asks; empty: nobody but this server
	Problem    string
	Hint       string // the user name to begin with
	Strong     bool   // a one-time code is asked for, too
	AskDevice  bool   // so is a name for the device
	DeviceName string
	Remember   bool // the name, in this browser
	CanDeny    bool
	Users      []string // who can go on without a password
	Previews   []link
}

// maxButtons is how many users get a button of their own.
const maxButtons = 8

// loginView is the page on which a user signs in. ends is where a form on it
// may lead to.
func (s *Server) loginView(x *exchange, d loginData, ends string) view {
	users := s.userNames(x)
	d.Users = users[:min(len(users), maxButtons)]
	v := view{name: "login", outcome: UserAsked, title: "Sign in", ends: ends, data: d}
	if d.Problem != "" {
		v.status, v.outcome = http.StatusUnauthorized, WrongPassword
	}
	return v
}

// onetime is the second proof of a strong login. Any will do: what is tested
// here is the client.
var onetime = regexp.MustCompile(`^[0-9]{6}$`)

// authenticate reads a filled-in login page. The problem is for the user to
// read; it is empty if they proved to be there. acr is what they had to reach.
func (s *Server) readLogin(x *exchange, acr string) (a authentication, problem string, outcome Outcome) {
	form := x.r.PostForm
	name := form.Get("as")
	if name != "" {
		if !s.mayEnter(x.ctx(), name) {
			return a, "This user cannot sign in.", UserDisabled
		}
	} else {
		name = form.Get("username")
		if outcome := s.signIn(x, name, form.Get("password")); outcome != LoggedIn {
			return a, loginProblem(outcome), outcome
		}
		if acr == acrStrong && !onetime.MatchString(form.Get("otp")) {
			return a, "The one-time code has six digits.", WrongPassword
		}
	}
	if acr != acrStrong {
		acr = acrPassword
	}
	return authentication{User: name, Time: s.now(), ACR: acr, Device: deviceName(form)}, "", LoggedIn
}

func loginProblem(o Outcome) string {
	switch o {
	case WrongPassword:
		return "The user name or the password is wrong."
	case UserDisabled:
		return "This account is locked."
	}
	return "That did not work. Try again in a moment."
}

// previews are the states of the login page that are hard to come by.
func previews() map[string]string {
	return map[string]string{
		"expired": "Your session has expired. Sign in again.",
		"locked":  loginProblem(UserDisabled),
		"rate":    "Too many attempts. Try again in a minute.",
	}
}

// loginPage is GET and POST of signInPath: ?to= says where to go on.
func (s *Server) loginPage(x *exchange) reply {
	to := s.ownPath(x.r.FormValue("to"))
	d := loginData{Action: s.path + signInPath, Hidden: []field{{"to", to}}}
	s.askDeviceName(x, &d)
	if x.r.Method != http.MethodPost {
		d.Problem = previews()[x.r.URL.Query().Get("preview")]
		for _, name := range slices.Sorted(maps.Keys(previews())) {
			d.Previews = append(d.Previews, link{previews()[name], "?" + url.Values{"preview": {name}, "to": {to}}.Encode()})
		}
		return s.show(x.r, s.loginView(x, d, ""))
	}
	who, problem, outcome := s.readLogin(x, "")
	if problem != "" {
		d.Problem, d.Hint = problem, x.r.PostForm.Get("username")
		v := s.loginView(x, d, "")
		v.outcome = outcome
		return s.show(x.r, v)
	}
	if err := s.signInBrowser(x.w, x.r, who); err != nil {
		return s.brokenPage(x.r, err)
	}
	s.rememberDevice(x)
	return redirectReply(LoggedIn, to)
}

// ownPath keeps a path of this server, and replaces anything else: a login
// must not be a door to wherever a link says.
func (s *Server) ownPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || !strings.HasPrefix(to, s.path+"/") ||
		strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\t\r\n") {
		return s.path + devicesPath
	}
	return to
}

// signOutPage is POST of signOutPath.
func (s *Server) signOutPage(x *exchange) reply {
	s.signOutBrowser(x.w, x.r)
	return s.signedOut(x.r, "You are signed out of this browser. Programs that you signed in to stay signed in.")
}

func (s *Server) signedOut(r *http.Request, text string) reply {
	return s.show(r, view{name: "message", outcome: LoggedOut, title: "Signed out", data: messageData{
		Heading: "Signed out", Kind: "good", Text: text,
		Links: []link{{"Sign in again", s.path + signInPath}},
	}})
}
