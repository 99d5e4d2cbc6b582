package testserver

import (
	"context"
	"crypto/rand"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The two halves of a device authorization (RFC 8628): what the device holds,
// and what the user types.
const (
	kindDevice   = "device"    // by the hash of the device code
	kindUserCode = "user-code" // leads to the other one
)

const (
	deviceLife = 10 * time.Minute
	slowDown   = 5 * time.Second // RFC 8628 3.5: added by each slow_down
)

// grantDevice is the grant type of a device's polls.
const deviceGrantType = "urn:ietf:params:oauth:grant-type:device_code"

// deviceStatus is what has come of a device's request.
type deviceStatus string

const (
	deviceWaiting  deviceStatus = ""
	deviceApproved deviceStatus = "approved"
	deviceDenied   deviceStatus = "denied"
	deviceSpent    deviceStatus = "spent"
)

// deviceRequest is a device that waits for its user. Its document outlives its
// end, so that a poll which comes too late is told so.
type deviceRequest struct {
	Client   string         `json:"client"`
	Scope    string         `json:"scope,omitempty"`
	UserCode string         `json:"user_code"`
	Expires  time.Time      `json:"expires"`
	Interval time.Duration  `json:"interval"`
	Polled   time.Time      `json:"polled,omitzero"`
	Status   deviceStatus   `json:"status,omitempty"`
	Who      authentication `json:"who,omitzero"`
}

// oauthDevice is RFC 8628 3.1.
func (s *Server) oauthDevice(w http.ResponseWriter, r *http.Request) {
	s.clientForm(w, r, DeviceAuthorize, func(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
		scope := strings.Join(strings.Fields(form.Get("scope")), " ")
		switch {
		case !client.may(deviceGrantType):
			return refuse(oauthError(GrantRefused))
		case !scopeAllowed(client, scope):
			return refuse(badGrant(Refused, problem("invalid_scope", "scope is malformed or not the client's")))
		}
		if p := s.checkResources(client, form); p != nil {
			return refuse(badGrant(Refused, p))
		}
		return nil, func() reply { return s.startDevice(x, client.ID, scope) }
	})
}

func (s *Server) startDevice(x *exchange, client, scope string) reply {
	now, code := s.now(), "dc_"+rand.Text()
	d := deviceRequest{
		Client: client, Scope: scope, UserCode: newUserCode(),
		Expires: now.Add(deviceLife), Interval: s.interval,
	}
	if s.approver != "" {
		d.Status, d.Who = deviceApproved, authentication{User: s.approver, Time: now, ACR: acrPassword}
	}
	id := documentID(code)
	fresh, err := putDocument(x.ctx(), s.documents, now, kindUserCode, d.UserCode, id, d.Expires)
	if err == nil && !fresh {
		err = errors.New("testserver: a user code came up twice")
	}
	if err == nil {
		_, err = putDocument(x.ctx(), s.documents, now, kindDevice, id, d, d.Expires.Add(s.policy.AbsoluteTTL))
	}
	if err != nil {
		return *s.failed(x, err)
	}
	page := s.mint.issuer + devicePath
	return jsonReply(http.StatusOK, DevicePending, struct {
		Device   string `json:"device_code"`
		User     string `json:"user_code"`
		Page     string `json:"verification_uri"`
		Complete string `json:"verification_uri_complete"`
		Expires  int64  `json:"expires_in"`
		Interval int64  `json:"interval"`
	}{code, d.UserCode, page, page + "?user_code=" + url.QueryEscape(d.UserCode), seconds(deviceLife), seconds(d.Interval)})
}

// userCodeLetters spell no words and are hard to mistake for each other
// (RFC 8628 6.1).
const userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

func newUserCode() string {
	code := make([]byte, 0, 9)
	for i := range 8 {
		if i == 4 {
			code = append(code, '-')
		}
		n, _ := rand.Int(rand.Reader, big.NewInt(int64(len(userCodeLetters)))) // never fails, see random
		code = append(code, userCodeLetters[n.Int64()])
	}
	return string(code)
}

// tidyUserCode forgives what people do to a code when they type it. Empty: it
// cannot be one.
func tidyUserCode(typed string) string {
	var code []byte
	for _, c := range []byte(strings.ToUpper(typed)) {
		switch {
		case strings.IndexByte(userCodeLetters, c) >= 0:
			if len(code) == 4 {
				code = append(code, '-')
			}
			code = append(code, c)
		case c != '-' && c != ' ':
			return ""
		}
	}
	if len(code) != 9 {
		return ""
	}
	return string(code)
}

// pendingDevice looks up what a user typed. errNoRequest: nothing waits under
// that code, or no longer.
func (s *Server) pendingDevice(ctx context.Context, typed string) (d *deviceRequest, id string, err error) {
	link, err := readDocument[string](ctx, s.documents, s.now(), kindUserCode, tidyUserCode(typed))
	if err != nil {
		return nil, "", err
	}
	if link == nil {
		return nil, "", errNoRequest
	}
	d, err = readDocument[deviceRequest](ctx, s.documents, s.now(), kindDevice, *link)
	if err != nil {
		return nil, "", err
	}
	if d == nil || d.Status != deviceWaiting {
		return nil, "", errNoRequest
	}
	return d, *link, nil
}

// approveDevice is the user's yes to the device that shows the code.
func (s *Server) approveDevice(ctx context.Context, typed string, who *authentication) error {
	if who == nil || !s.mayEnter(ctx, who.User) {
		return errLoginNeeded
	}
	return s.settleDevice(ctx, typed, deviceApproved, *who)
}

// denyDevice is the user's no.
func (s *Server) denyDevice(ctx context.Context, typed string) error {
	return s.settleDevice(ctx, typed, deviceDenied, authentication{})
}

func (s *Server) settleDevice(ctx context.Context, typed string, status deviceStatus, who authentication) error {
	_, id, err := s.pendingDevice(ctx, typed)
	if err != nil {
		return err
	}
	err = updateDocument(ctx, s.documents, s.now(), kindDevice, id, func(d *deviceRequest) error {
		if d.Status != deviceWaiting { // somebody was faster
			return errNoRequest
		}
		d.Status, d.Who = status, who
		return nil
	})
	if errors.Is(err, errNoDocument) {
		return errNoRequest
	}
	return err
}

// ApproveDevice is a user who types the code and agrees, without a browser.
func (s *Server) ApproveDevice(ctx context.Context, userCode, user string) error {
	return s.approveDevice(ctx, userCode, &authentication{User: user, Time: s.now(), ACR: acrPassword})
}

// DenyDevice is a user who types the code and says no.
func (s *Server) DenyDevice(ctx context.Context, userCode string) error {
	return s.denyDevice(ctx, userCode)
}

// grantDevice is RFC 8628 3.4: a poll.
func (s *Server) grantDevice(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
	code := form.Get("device_code")
	switch {
	case !client.may(deviceGrantType):
		return refuse(oauthError(GrantRefused))
	case code == "":
		return refuse(badGrant(Malformed, invalidRequest("device_code missing")))
	}
	id := documentID(code)
	d, err := readDocument[deviceRequest](x.ctx(), s.documents, s.now(), kindDevice, id)
	if err != nil {
		return s.failed(x, err), nil
	}
	if d == nil || d.Client != client.ID {
		return refuse(badGrant(Unknown, problem("invalid_grant", "device code unknown")))
	}
	return nil, func() reply { return s.pollDevice(x, id, deviceOf(x, form.Get("device"))) }
}

// pollDevice decides in one step, so that of two polls at once one gets the
// tokens.
func (s *Server) pollDevice(x *exchange, id, device string) reply {
	var seen deviceRequest
	outcome, now := Failed, s.now()
	err := updateDocument(x.ctx(), s.documents, now, kindDevice, id, func(d *deviceRequest) error {
		outcome = d.poll(now)
		seen = *d
		return nil
	})
	if errors.Is(err, errNoDocument) { // it has just gone
		outcome, err = Unknown, nil
	}
	if err != nil {
		return *s.failed(x, err)
	}
	if outcome != LoggedIn {
		return badGrant(outcome, devicePolled(outcome))
	}
	if !s.mayEnter(x.ctx(), seen.Who.User) {
		return badGrant(UserDisabled, problem("invalid_grant", "user must sign in again"))
	}
	tokens, err := s.enterBy(x, session{
		client: seen.Client, scope: seen.Scope, device: device,
		user: seen.Who.User, authTime: seen.Who.Time, acr: seen.Who.ACR,
	}, start{})
	if err != nil {
		return *s.failed(x, err)
	}
	s.ledger.count(func(st *Stats) { st.Logins++ })
	return oauthTokens(tokens, LoggedIn)
}

// poll books one poll and says what it comes to (RFC 8628 3.5). A device that
// does not keep its interval is told so first, whatever the user has decided.
func (d *deviceRequest) poll(now time.Time) Outcome {
	early := !d.Polled.IsZero() && now.Sub(d.Polled) < d.Interval
	d.Polled = now
	switch {
	case d.Status == deviceSpent:
		return Unknown
	case !now.Before(d.Expires):
		return DeviceExpired
	case early:
		d.Interval += slowDown
		return DeviceSlowDown
	case d.Status == deviceDenied:
		return DeviceDenied
	case d.Status == deviceApproved:
		d.Status = deviceSpent
		return LoggedIn
	}
	return DevicePending
}

func devicePolled(o Outcome) *oauthProblem {
	switch o {
	case DevicePending:
		return problem(string(o), "the user has not decided yet")
	case DeviceSlowDown:
		return problem(string(o), "polled too soon; the interval is 5 seconds longer now")
	case DeviceDenied:
		return problem(string(o), "the user said no")
	case DeviceExpired:
		return problem(string(o), "device code expired")
	}
	return problem("invalid_grant", "device code unknown")
}
