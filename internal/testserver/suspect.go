package testserver

import (
	"cmp"
	"errors"
	"log/slog"
)

// Suspicion names a use of a token or proof that no good client makes.
type Suspicion string

// The suspicions. Those that a refresh comes to are named in suspicionOf; the
// rules of the ledger that concern misplaced tokens are suspicions of the same
// name.
const (
	Reuse               Suspicion = "reuse"
	ForeignClient       Suspicion = "wrong-client"
	KeyMismatch         Suspicion = "wrong-key"
	RefreshOver         Suspicion = "refresh-after-end"
	CertificateMismatch Suspicion = "wrong-certificate"
	AssertionReplayed   Suspicion = "assertion-replayed"
	CodeReused          Suspicion = "code-replayed"
	ProofReplayed       Suspicion = "dpop-proof-replayed"
)

// The log lines for whoever watches a service. Their names and attributes are
// stable. None holds a token, nor anything else that a stranger has written:
// clients, sessions and users are named as this server knows them.
const (
	LineRefused    = "refresh refused" // attributes: outcome, and those of subject
	LineSuspicious = "suspicious use"  // attributes: reason, and those of subject
)

// subject says what the exchange is about: a session, if one is known.
func subject(x *exchange, sess session) []slog.Attr {
	out := []slog.Attr{slog.String("endpoint", string(x.endpoint)), slog.String("remote", x.r.RemoteAddr)}
	for _, a := range []slog.Attr{
		slog.String("client", cmp.Or(x.caller, sess.client)),
		slog.String("session", sess.id), slog.String("user", sess.user),
	} {
		if a.Value.String() != "" {
			out = append(out, a)
		}
	}
	return out
}

// suspect writes the line of a suspicious use.
func (s *Server) suspect(x *exchange, why Suspicion) { s.suspectOf(x, why, s.sessionOf(x)) }

func (s *Server) suspectOf(x *exchange, why Suspicion, sess session) {
	s.log.LogAttrs(x.ctx(), slog.LevelWarn, LineSuspicious,
		append([]slog.Attr{slog.String("reason", string(why))}, subject(x, sess)...)...)
}

// sessionOf is the session of the exchange; the zero one if none is known.
func (s *Server) sessionOf(x *exchange) session {
	if x.session == "" {
		return session{}
	}
	sess, err := s.store.session(x.ctx(), x.session)
	if err != nil && !errors.Is(err, errNoSession) {
		s.failure(x, err)
	}
	return sess
}

// report writes the lines of a refresh that was refused, by the rules or by a
// fault.
func (s *Server) report(x *exchange, rep reply) {
	if x.endpoint != Refresh || rep.status() < 400 && rep.outcome != Failed {
		return
	}
	outcome := rep.outcome
	if outcome == "" {
		outcome = "fault"
	}
	s.log.LogAttrs(x.ctx(), slog.LevelInfo, LineRefused,
		append([]slog.Attr{slog.String("outcome", string(outcome))}, subject(x, s.sessionOf(x))...)...)
	if why := suspicionOf(outcome); why != "" {
		s.suspect(x, why)
	}
}

// suspicionOf says what a refresh that came to this is suspected of, if of
// anything.
func suspicionOf(o Outcome) Suspicion {
	switch o {
	case ReuseDetected, ReplayRefused:
		return Reuse
	case WrongClient:
		return ForeignClient
	case WrongKey:
		return KeyMismatch
	case SessionRevoked, SessionExpired, MaxRefreshes, UserDisabled, VersionBumped:
		return RefreshOver
	}
	return ""
}
