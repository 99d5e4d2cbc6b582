package testserver

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// bind finds out which keys the tokens of this request will be bound to, for a
// client that proved itself. held is the session of the presented refresh
// token, whose keys must be shown again; the zero session asks for none.
//
// It runs before the session's lock: a wrong key is refused, and is never
// taken for a token that came back (RFC 9449 5, RFC 8705 4).
func (s *Server) bind(x *exchange, client *registration, held session) Outcome {
	certificate, shown := certificateOf(x.r)
	if (client.CertificateBound || held.x5t != "") && !shown {
		return CertificateMissing
	}
	if held.x5t != "" && held.x5t != certificate {
		return WrongKey
	}
	if shown && client.bindsCertificate(certificate) {
		x.confirmation.X5T = certificate
	}
	if len(x.r.Header.Values("Dpop")) > 0 || client.DPoPBound || held.jkt != "" {
		thumbprint, err := s.checkProof(x, atAuthorization, "", held.jkt)
		if err != nil {
			return s.proofOutcome(x, err)
		}
		x.confirmation.JKT = thumbprint
	}
	if client.public() { // a confidential client's refresh tokens are bound to its own proof: RFC 9449 5
		x.holder = x.confirmation
	}
	return Done
}

// bindsCertificate reports whether tokens are bound to the certificate that
// the client has shown: it asked for that, or proves itself with it.
func (r *registration) bindsCertificate(thumbprint string) bool {
	return r.CertificateBound || r.ownsCertificate(thumbprint)
}

// bound is a grant whose tokens are bound to what the request proves.
func (s *Server) bound(g grant) grant {
	return func(x *exchange, client *registration, form url.Values) (*reply, func() reply) {
		if outcome := s.bind(x, client, session{}); outcome != Done {
			return refuse(x.refusal(outcome))
		}
		return g(x, client, form)
	}
}

// proofOutcome says what a proof came to that did not pass.
func (s *Server) proofOutcome(x *exchange, err error) Outcome {
	switch {
	case errors.Is(err, proofNonce):
		return NonceNeeded
	case errors.Is(err, proofBinding):
		return WrongKey
	case errors.Is(err, proofReplayed):
		s.suspect(x, ProofReplayed)
	case !errors.Is(err, errProof):
		return s.failure(x, err)
	}
	x.reason = strings.TrimPrefix(err.Error(), "testserver: ")
	return ProofInvalid
}

// refusal is the answer in the dialect of the request.
func (x *exchange) refusal(o Outcome) reply {
	if (x.dialect == JSON || x.endpoint == Devices) && o != NonceNeeded {
		return jsonError(o)
	}
	status, code, description := oauthRefusal(o)
	if x.reason != "" {
		description = x.reason
	}
	return jsonReply(status, o, map[string]string{"error": code, "error_description": description})
}

// bindFirst is bind for the first-party dialect, whose requests are all of the
// one client.
func (s *Server) bindFirst(x *exchange, held session) Outcome {
	id := s.clients.first
	if held.client != "" { // a session of the OAuth dialect may be refreshed here, too
		id = held.client
	}
	client, err := s.client(x.ctx(), id)
	if err != nil {
		return s.failure(x, err)
	}
	if client == nil {
		return WrongClient
	}
	return s.bind(x, client, held)
}

// claimedBy is the client that a form says it is from.
func claimedBy(r *http.Request, form url.Values) string {
	shown, _ := readCredential(r, form)
	return shown.id
}
