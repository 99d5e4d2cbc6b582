package testserver

import "github.com/golang-jwt/jwt/v5"

// Retype signs a token's claims again with the key of its kind, under another
// type: what a check of the signature alone would let pass.
func (s *Server) Retype(token, typ string) string {
	var c claims
	t, _, err := jwt.NewParser().ParseUnverified(token, &c)
	if err != nil {
		panic(err)
	}
	var key any = s.mint.access
	if t.Method == jwt.SigningMethodHS256 {
		key = s.mint.refresh
	}
	t.Header["typ"] = typ
	signed, err := t.SignedString(key)
	if err != nil {
		panic(err)
	}
	return signed
}
