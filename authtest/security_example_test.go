package authtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-9a12f4e2/pawl/authtest"
)

// A client that proves itself with its certificate (RFC 8705).
func ExampleNewTLSServer() {
	certificate, err := authtest.NewCertificate("machine")
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := authtest.NewTLSServer(authtest.Config{Clients: []authtest.Client{{
		ID: "machine", Auth: authtest.SelfSignedTLS, Certificate: authtest.Thumbprint(certificate.Leaf),
	}}}) // in a test: authtest.NewTLS(t, ...)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	client := srv.ClientWithCertificate(certificate)
	defer client.CloseIdleConnections()
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"machine"}}
	for _, c := range []*http.Client{srv.Client(), client} {
		resp, err := c.PostForm(srv.URL()+"/oauth/token", form)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"))
	}
	// Output:
	// 401 client_refused
	// 200 minted
}

// A client that proves itself with a signed assertion (RFC 7523). It works
// once.
func ExamplePrivateKeyJWT() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	srv, err := authtest.NewServer(authtest.Config{Clients: []authtest.Client{{
		ID: "machine", Auth: authtest.PrivateKeyJWT, Keys: []crypto.PublicKey{&key.PublicKey},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	assertion, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "machine", "sub": "machine", "aud": srv.URL(), "jti": rand.Text(),
		"exp": srv.Now().Add(time.Minute).Unix(),
	}).SignedString(key)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 {
		resp, err := srv.Client().PostForm(srv.URL()+"/oauth/token", url.Values{
			"grant_type":            {"client_credentials"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
			"client_assertion":      {assertion},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"))
	}
	// Output:
	// 200 minted
	// 401 client_refused
}

// A DPoP proof needs a nonce of the server, which comes with the refusal of
// the first (RFC 9449 8).
func ExampleSingleUseNonces() {
	srv, err := authtest.NewServer(authtest.Config{DPoPNonces: authtest.SingleUseNonces})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	nonce := ""
	for range 2 {
		form := url.Values{
			"grant_type": {"password"}, "client_id": {"cli"}, "username": {"alice"}, "password": {"secret"},
		}
		req, _ := http.NewRequest(http.MethodPost, srv.URL()+"/oauth/token", strings.NewReader(form.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("DPoP", proof(key, req, nonce, srv.Now()))
		resp, err := srv.Client().Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
		nonce = resp.Header.Get("DPoP-Nonce")
		fmt.Println(resp.StatusCode, resp.Header.Get("X-Authtest-Outcome"))
	}
	// Output:
	// 400 use_dpop_nonce
	// 200 logged_in
}

// proof is RFC 9449 4.2.
func proof(key *ecdsa.PrivateKey, req *http.Request, nonce string, now time.Time) string {
	point, _ := key.PublicKey.Bytes()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"jti": rand.Text(), "htm": req.Method, "htu": req.URL.String(), "iat": now.Unix(), "nonce": nonce,
	})
	token.Header["typ"] = "dpop+jwt"
	token.Header["jwk"] = map[string]string{
		"kty": "EC", "crv": "P-256", "x": token.EncodeSegment(point[1:33]), "y": token.EncodeSegment(point[33:]),
	}
	signed, _ := token.SignedString(key)
	return signed
}

// The log has a line for each suspicious use, and no token in it.
func ExampleLogSuspicious() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelWarn,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			switch a.Key {
			case "time", "remote", "session": // they differ from run to run
				return slog.Attr{}
			}
			return a
		},
	}))
	srv, err := authtest.NewServer(authtest.Config{Log: log})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer srv.Close()
	tokens := srv.Login("alice", "laptop")
	for range 2 {
		resp, err := srv.Client().PostForm(srv.URL()+"/oauth/token", url.Values{
			"grant_type": {"refresh_token"}, "client_id": {"cli"}, "refresh_token": {tokens.RefreshToken},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		_ = resp.Body.Close()
	}
	// Output:
	// level=WARN msg="suspicious use" reason=reuse endpoint=refresh client=cli user=alice
}
