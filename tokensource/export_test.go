package tokensource

import (
	"errors"
	"reflect"
	"strings"
	"time"
)

// Deadline lets a test set the two clocks apart.
func DeadlinePassed(mono, wall, now time.Time) bool {
	return deadline{at: mono, wall: wall.UnixNano()}.passed(now)
}

// RecordView is a decoded record, as tests see it.
type RecordView struct {
	ID              TokenID
	RefreshToken    string
	Marked, Suspect bool
	Suspicions      int
	Ended           bool
	Paused          bool
	PausedUntil     time.Time
	HasTokens       bool
}

// ViewRecord decodes a stored record.
func ViewRecord(data []byte) (RecordView, error) {
	r, err := decodeRecord(data)
	if err != nil {
		return RecordView{}, err
	}
	v := RecordView{
		ID: r.id, RefreshToken: r.grant.RefreshToken.Reveal(),
		Marked: r.marked() != nil, Suspect: r.suspected(),
		Ended:     r.ended != reasonUnset,
		HasTokens: !r.grant.AccessToken.IsZero() || !r.grant.RefreshToken.IsZero() || !r.grant.IDToken.IsZero(),
	}
	if r.suspect != nil {
		v.Suspicions = r.suspect.Count
	}
	if r.pause != nil {
		v.Paused, v.PausedUntil = true, r.pause.Until.time()
	}
	return v, nil
}

// SuspectRecord returns the encoded record with a suspicion of its refresh
// token.
func SuspectRecord(t interface{ Fatal(...any) }, data []byte) []byte {
	r, err := decodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	c := *r
	c.suspect = &suspicion{Hash: r.refreshHash(), Count: maxSuspicions, Reason: reasonName(ReasonRejected)}
	data, err = c.encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// LineageRecord describes a record for Lineage.
type LineageRecord struct {
	Family          byte
	Generation      uint64
	Refresh, Parent string
	PresentedAt     int64
	Ended           bool
}

func (l LineageRecord) record() *record {
	r := &record{id: TokenID{Family: [16]byte{l.Family}, Generation: l.Generation}}
	r.grant.RefreshToken = NewSecret(l.Refresh)
	r.parent = tokenHash(NewSecret(l.Parent))
	r.presentedAt = time.Unix(l.PresentedAt, 0)
	if l.Ended {
		r.ended = ReasonLoggedOut
	}
	return r
}

// Lineage rules on a child over what is stored.
func Lineage(stored *LineageRecord, child LineageRecord) (what string, anomaly bool) {
	var s *record
	if stored != nil {
		s = stored.record()
	}
	ruling, text := lineage(s, child.record())
	return [...]string{ruleWrite: "write", ruleDone: "done", ruleYield: "yield", ruleDiscard: "discard"}[ruling], text != ""
}

// KnownFields are the names of the fields of a record.
func KnownFields() (names []string) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[recordJSON]()) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// IsNewerRecord reports whether a record was refused as one of a newer program.
func IsNewerRecord(err error) bool { return errors.Is(err, errNewerRecord) }

// RecodeRecord decodes and encodes a record.
func RecodeRecord(data []byte) ([]byte, error) {
	r, err := decodeRecord(data)
	if err != nil {
		return nil, err
	}
	return r.encode()
}
