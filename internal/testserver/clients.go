package testserver

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// clients are the configured ones; fixed at construction. Those that register
// themselves are documents: see Server.client.
type clients struct {
	first string // those of the JSON dialect and of Login are this client's
	fixed map[string]*registration
}

func newClients(list []Client) *clients {
	c := &clients{first: list[0].ID, fixed: make(map[string]*registration, len(list))}
	for _, client := range list {
		c.fixed[client.ID] = client.registered()
	}
	return c
}

// authenticate finds out which client is asking, before anything of the
// request is looked at: a wrong client must not spend a token (RFC 6749 3.2.1).
func (s *Server) authenticate(x *exchange, form url.Values) (client *registration, refusal *reply) {
	header := x.r.Header.Get("Authorization")
	id, secret := form.Get("client_id"), form.Get("client_secret")
	if header != "" {
		if secret != "" { // RFC 6749 2.3: one method per request
			rep := oauthError(Malformed)
			return nil, &rep
		}
		name, ok := "", false
		if name, secret, ok = basic(header); !ok || id != "" && id != name {
			return nil, clientRefused(true)
		}
		id = name
	}
	client, err := s.client(x.r.Context(), id)
	if err != nil {
		return nil, s.failed(x, err)
	}
	if client == nil || !client.knows(secret) {
		return nil, clientRefused(header != "")
	}
	return client, nil
}

// basic reads HTTP Basic the way OAuth fills it in: each half is form-encoded
// first (RFC 6749 2.3.1).
func basic(header string) (id, secret string, ok bool) {
	scheme, encoded, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	id, secret, ok = strings.Cut(string(raw), ":")
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	return id, secret, ok && errID == nil && errSecret == nil
}

// clientRefused challenges only the client that used the header (RFC 6749 5.2).
func clientRefused(challenge bool) *reply {
	rep := oauthError(ClientRefused)
	if challenge {
		rep.Header.Set("WWW-Authenticate", `Basic realm="authtest"`)
	}
	return &rep
}

func oauthError(o Outcome) reply {
	status, code, description := oauthRefusal(o)
	return jsonReply(status, o, map[string]string{"error": code, "error_description": description})
}

func jsonError(o Outcome) reply {
	status, member, text := jsonRefusal(o)
	return jsonReply(status, o, map[string]string{member: text})
}

// foreign reports that the request was meant for another origin: test clients
// send example.com and what is below it here, whatever the server is called.
func (s *Server) foreign(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	name, _, _ := strings.Cut(host, ":")
	return host != s.host && (name == "example.com" || strings.HasSuffix(name, ".example.com"))
}
