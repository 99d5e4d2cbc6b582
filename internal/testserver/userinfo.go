package testserver

import "net/http"

// userInfo is OpenID Connect Core 5.3.
type userInfo struct {
	Subject string `json:"sub"`
	profile
}

// profile is what a client may know of a user (OpenID Connect Core 5.1).
type profile struct {
	Name      string `json:"name,omitempty"`
	Preferred string `json:"preferred_username,omitempty"`
	Email     string `json:"email,omitempty"`
	Verified  *bool  `json:"email_verified,omitempty"`
}

// profileOf is what little a test user has: the name, and an address that
// cannot exist (RFC 2606 2). The scope says which of it (OpenID Connect Core
// 5.4).
func profileOf(user, scope string) profile {
	var p profile
	if within("profile", scope) {
		p.Name, p.Preferred = user, user
	}
	if within("email", scope) {
		verified := false
		p.Email, p.Verified = user+"@example.test", &verified
	}
	return p
}

func (s *Server) oauthUserInfo(_ *exchange, c claims) reply {
	if !within("openid", c.Scope) || c.AuthTime == nil {
		return challenge(ScopeMissing, `, error="insufficient_scope", scope="openid"`)
	}
	return jsonReply(http.StatusOK, Done, userInfo{Subject: c.Subject, profile: profileOf(c.Subject, c.Scope)})
}
