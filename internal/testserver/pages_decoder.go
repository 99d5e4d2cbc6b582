package testserver

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

type decoderData struct {
	Action, Base, Token, Problem string
	Kind, Verdict                string
	Header, Claims               string
	Session                      string
}

// decoder shows what a token of this server says. The token comes in a form,
// never in an address, and nothing keeps it.
func (s *Server) decoder(_ http.ResponseWriter, r *http.Request) reply {
	d := decoderData{Action: s.path + decoderPath, Base: s.path}
	v := view{name: "decoder", title: "Token decoder", width: "wide", nav: decoderPath}
	if r.Method == http.MethodPost {
		d.Token = strings.TrimSpace(r.PostForm.Get("token"))
		if !s.decode(r, &d) {
			v.status, d.Problem = http.StatusBadRequest, "This is not a token in JWT form, nor one that this server knows."
		}
	}
	v.data = d
	return s.show(r, v)
}

// decode fills in what can be said of d.Token, and reports whether that is
// anything.
func (s *Server) decode(r *http.Request, d *decoderData) bool {
	header, claims, isJWT := splitJWT(d.Token)
	d.Header, d.Claims = header, claims
	if sess, row, err := s.store.sessionOf(r.Context(), digestOf(d.Token)); err == nil {
		d.Session = sess.id
		d.Kind, d.Verdict = "good", "A refresh token of this server, and live."
		if row.status != statusActive || sess.ended != "" {
			d.Kind, d.Verdict = "bad", "A refresh token of this server, and no longer live."
		}
		return true
	}
	if !isJWT {
		return false
	}
	c, err := s.mint.readAccess(d.Token)
	if err != nil {
		d.Kind, d.Verdict = "bad", "Not an access token that this server signed. What it says proves nothing."
		return true
	}
	d.Session = c.Session
	x := &exchange{r: r}
	if outcome := s.judgeAccess(x, c); outcome == Done {
		d.Kind, d.Verdict = "good", "An access token of this server, and good."
	} else {
		_, _, text := jsonRefusal(outcome)
		d.Kind, d.Verdict = "bad", "An access token of this server, and refused: "+text+"."
	}
	return true
}

// splitJWT formats the two readable parts of a token. It checks nothing.
func splitJWT(token string) (header, claims string, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", "", false
	}
	var out [2]bytes.Buffer
	for i := range out {
		data, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Indent(&out[i], data, "", "  ") != nil {
			return "", "", false
		}
	}
	return out[0].String(), out[1].String(), true
}
