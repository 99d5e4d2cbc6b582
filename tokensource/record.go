package tokensource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"
)

// recordFormat is the major version of the encoding. A record of a higher one
// is never rotated and never overwritten: an older program that shares a
// keyring with a newer one must not destroy what it cannot read.
const recordFormat = 1

// record is a session as it is stored. A *record is immutable once it was
// decoded or published; changed copies are made with the with... methods.
type record struct {
	id       TokenID
	ended    Reason // reasonUnset while the session is active
	grant    Grant
	resource string
	// parent is the hash of the refresh token that was traded for this set,
	// "" after a login; presentedAt is when it was presented.
	parent      string
	presentedAt time.Time
	mark        *spendMark
	suspect     *suspicion
	pause       *pause
	// extra holds the fields that this version of the library does not
	// know; they survive a rewrite.
	extra map[string]json.RawMessage
}

// spendMark says, before the request can leave, that a refresh token is being
// spent (rule 6).
type spendMark struct {
	Hash   string    `json:"hash"`
	Holder string    `json:"holder"`
	Until  unixMilli `json:"until"`
}

// suspicion says that the server refused the refresh token (rule 12).
type suspicion struct {
	Hash      string    `json:"hash"`
	Count     int       `json:"count"`
	At        unixMilli `json:"at"`
	Reason    string    `json:"reason"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Uncertain bool      `json:"uncertain,omitempty"`
}

// pause is a failure that is shared with the fleet and with the next process:
// nobody sends before Until (rule 4).
type pause struct {
	Until     unixMilli `json:"until"`
	Failures  int       `json:"failures"`
	Reason    string    `json:"reason"`
	Status    int       `json:"status,omitempty"`
	Code      string    `json:"code,omitempty"`
	Uncertain bool      `json:"uncertain,omitempty"`
}

// unixMilli is a wall clock time in a record, 0 for none.
type unixMilli int64

func milli(t time.Time) unixMilli {
	if t.IsZero() {
		return 0
	}
	return unixMilli(t.UnixMilli())
}

func (m unixMilli) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m))
}

// tokenHash identifies a refresh token inside a record.
func tokenHash(s Secret) string {
	if s.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(s.Reveal()))
	return hex.EncodeToString(sum[:16])
}

func (r *record) refreshHash() string { return tokenHash(r.grant.RefreshToken) }

// suspected reports whether the current refresh token is the one that was
// refused: a save of another one ends every suspicion.
func (r *record) suspected() bool {
	return r.suspect != nil && r.suspect.Hash == r.refreshHash()
}

// marked returns the mark on the current refresh token, if there is one.
func (r *record) marked() *spendMark {
	if r.mark == nil || r.mark.Hash != r.refreshHash() {
		return nil
	}
	return r.mark
}

func (r *record) withMark(m *spendMark) *record {
	c := *r
	c.mark = m
	return &c
}

// child returns the record of the set g that the refresh token of r was
// traded for at presentedAt.
func (r *record) child(g Grant, presentedAt time.Time) *record {
	return &record{
		id:          TokenID{Family: r.id.Family, Generation: r.id.Generation + 1},
		grant:       g,
		resource:    r.resource,
		parent:      r.refreshHash(),
		presentedAt: presentedAt,
		extra:       r.extra,
	}
}

// over returns r as it is to be written over stored: with a generation above
// what is there, and with what a newer program wrote into it.
func (r *record) over(stored *record) *record {
	c := *r
	c.id.Generation = max(c.id.Generation, stored.id.Generation+1)
	c.extra = stored.extra
	return &c
}

// descends reports whether r is a later set of the session that other is.
func (r *record) descends(other *record) bool {
	return r.id.Family == other.id.Family && r.id.Generation > other.id.Generation
}

// end returns the token-free record that a logout leaves (rule 13).
func (r *record) end(why Reason) *record {
	return &record{id: r.id, ended: why, resource: r.resource, extra: r.extra}
}

// recordJSON is the encoding, format 1.
type recordJSON struct {
	Format       int        `json:"v"`
	Family       string     `json:"family"`
	Generation   uint64     `json:"gen"`
	Ended        string     `json:"ended,omitempty"`
	AccessToken  string     `json:"access_token,omitempty"`
	RefreshToken string     `json:"refresh_token,omitempty"`
	IDToken      string     `json:"id_token,omitempty"`
	TokenType    string     `json:"token_type,omitempty"`
	Subject      string     `json:"sub,omitempty"`
	Scopes       []string   `json:"scopes,omitzero"`
	IssuedAt     unixMilli  `json:"issued_at,omitempty"`
	Expiry       unixMilli  `json:"expiry,omitempty"`
	HardEnd      unixMilli  `json:"hard_end,omitempty"`
	IdleEnd      unixMilli  `json:"idle_end,omitempty"`
	Resource     string     `json:"resource,omitempty"`
	Parent       string     `json:"parent,omitempty"`
	PresentedAt  unixMilli  `json:"presented_at,omitempty"`
	Mark         *spendMark `json:"mark,omitempty"`
	Suspect      *suspicion `json:"suspect,omitempty"`
	Pause        *pause     `json:"not_before,omitempty"`
}

func (r *record) encode() ([]byte, error) {
	g := r.grant
	wire := recordJSON{
		Format:       recordFormat,
		Family:       hex.EncodeToString(r.id.Family[:]),
		Generation:   r.id.Generation,
		Ended:        reasonName(r.ended),
		AccessToken:  g.AccessToken.Reveal(),
		RefreshToken: g.RefreshToken.Reveal(),
		IDToken:      g.IDToken.Reveal(),
		TokenType:    g.TokenType,
		Subject:      g.Subject,
		Scopes:       g.Scopes,
		IssuedAt:     milli(g.IssuedAt),
		Expiry:       milli(g.Expiry),
		HardEnd:      milli(g.HardEnd),
		IdleEnd:      milli(g.IdleEnd),
		Resource:     r.resource,
		Parent:       r.parent,
		PresentedAt:  milli(r.presentedAt),
		Mark:         r.mark,
		Suspect:      r.suspect,
		Pause:        r.pause,
	}
	data, err := json.Marshal(wire)
	if err != nil || len(r.extra) == 0 {
		return data, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	merged := maps.Clone(r.extra)
	maps.Copy(merged, all)
	return json.Marshal(merged)
}

var (
	errNewerRecord   = errors.New("it was written by a newer version of this library")
	errCorruptRecord = errors.New("it is damaged")
)

// decodeRecord reads what encode wrote. Its errors match errNewerRecord or
// errCorruptRecord and show nothing of data.
func decodeRecord(data []byte) (*record, error) {
	var head struct {
		Format int `json:"v"`
	}
	if err := json.Unmarshal(data, &head); err != nil || head.Format < 1 {
		return nil, errCorruptRecord
	}
	if head.Format > recordFormat {
		return nil, fmt.Errorf("format %d: %w", head.Format, errNewerRecord)
	}
	var wire recordJSON
	var all map[string]json.RawMessage
	if json.Unmarshal(data, &wire) != nil || json.Unmarshal(data, &all) != nil {
		return nil, errCorruptRecord
	}
	// json reads a field whatever its case. Kept beside the one that it was
	// read as, it could come back as that, or outlive a logout.
	for _, field := range reflect.VisibleFields(reflect.TypeFor[recordJSON]()) {
		known, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return strings.EqualFold(name, known) })
	}
	if len(all) == 0 {
		all = nil // an emptied map keeps its memory, for as long as the session lasts
	}
	return wire.record(all)
}

func (wire recordJSON) record(extra map[string]json.RawMessage) (*record, error) {
	r := &record{
		id:    TokenID{Generation: wire.Generation},
		ended: reasonNamed(wire.Ended),
		grant: Grant{
			AccessToken:  NewSecret(wire.AccessToken),
			RefreshToken: NewSecret(wire.RefreshToken),
			IDToken:      NewSecret(wire.IDToken),
			TokenType:    wire.TokenType,
			Subject:      wire.Subject,
			Scopes:       wire.Scopes,
			IssuedAt:     wire.IssuedAt.time(),
			Expiry:       wire.Expiry.time(),
			HardEnd:      wire.HardEnd.time(),
			IdleEnd:      wire.IdleEnd.time(),
		},
		resource:    wire.Resource,
		parent:      wire.Parent,
		presentedAt: wire.PresentedAt.time(),
		mark:        wire.Mark,
		suspect:     wire.Suspect,
		pause:       wire.Pause,
		extra:       extra,
	}
	family, err := hex.DecodeString(wire.Family)
	if err != nil || len(family) != len(r.id.Family) || wire.Generation == 0 {
		return nil, errCorruptRecord
	}
	copy(r.id.Family[:], family)
	if r.ended == reasonUnset && r.grant.AccessToken.IsZero() {
		return nil, errCorruptRecord
	}
	return r, nil
}

// The names of reasons in a record are part of its format; the texts of
// Reason.String are not.
var reasonNames = map[Reason]string{
	ReasonNoSession: "no_session", ReasonRejected: "rejected", ReasonRefused: "refused",
	ReasonReuse: "reuse", ReasonHardEnd: "hard_end", ReasonAccountChanged: "account_changed",
	ReasonKeyLost: "key_lost", ReasonLoggedOut: "logged_out", ReasonNotSent: "not_sent",
	ReasonLost: "lost", ReasonServer: "server", ReasonRateLimited: "rate_limited",
	ReasonBusy: "busy", ReasonIntercepted: "intercepted", ReasonStore: "store",
	ReasonClient: "client", ReasonScope: "scope", ReasonEndpoint: "endpoint",
	ReasonResource: "resource", ReasonFormat: "format", ReasonRequest: "request",
}

func reasonName(r Reason) string { return reasonNames[r] }

// reasonNamed returns the reason of that name. A name that this version does
// not know still says that the session ended.
func reasonNamed(name string) Reason {
	if name == "" {
		return reasonUnset
	}
	for r, n := range reasonNames {
		if n == name {
			return r
		}
	}
	return ReasonLoggedOut
}
