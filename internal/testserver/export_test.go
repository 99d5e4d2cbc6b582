package testserver

import "github.com/golang-jwt/jwt/v5"

// Resign signs an access token's claims again with the server's key, as
// another type or of another issuer: what a check of the signature alone would
// let pass.
func (s *Server) Resign(token, typ, issuer string) string {
	var c claims
	t, _, err := jwt.NewParser().ParseUnverified(token, &c)
	if err != nil {
		panic(err)
	}
	t.Header["typ"], c.Issuer = typ, issuer
	signed, err := t.SignedString(s.mint.access)
	if err != nil {
		panic(err)
	}
	return signed
}

// Child derives the refresh token that follows parent, for a fixed row.
func (s *Server) Child(parent string) string {
	child, err := s.mint.refreshToken(&session{}, parent, &refreshToken{nonce: []byte("nonce")})
	if err != nil {
		panic(err)
	}
	return child
}
