package transport

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-9a12f4e2/pawl/tokensource"
)

// RejectedError says that an API rejected the token and that there is no other
// one. errors.Is tells by Err what to do about it, such as
// tokensource.ErrLoginRequired. Its text shows nothing of the response.
type RejectedError struct {
	// Response is what the API answered. Its connection is released and its
	// Body is a copy of the first 8 KiB at most, which need not be closed.
	Response *http.Response
	// Err is why there is no other token.
	Err error
}

// Error describes the failure in one line.
func (e *RejectedError) Error() string {
	return "transport: the token was rejected (HTTP status " + strconv.Itoa(e.Response.StatusCode) +
		") and not renewed: " + e.Err.Error()
}

// Unwrap returns why there is no other token.
func (e *RejectedError) Unwrap() error { return e.Err }

// TokenTypeError says that the Source has a token that this transport cannot
// present: none at all, or one that is not a Bearer token. It matches
// tokensource.ErrConfig under errors.Is.
type TokenTypeError struct {
	// Type is the token's type. Error does not print it.
	Type string
}

// Error describes the failure in one line.
func (e *TokenTypeError) Error() string {
	return "transport: the source's token is not a Bearer token; " + tokensource.ErrConfig.Error()
}

// Is reports whether target is tokensource.ErrConfig.
func (e *TokenTypeError) Is(target error) bool { return target == tokensource.ErrConfig }

// rejected reports whether resp says that the token is no longer good.
func (t *Transport) rejected(resp *http.Response) bool {
	if resp.StatusCode < 400 {
		return false
	}
	if resp.StatusCode == http.StatusUnauthorized && deniesToken(resp.Header) {
		return true
	}
	return t.predicate != nil && t.predicate(resp)
}

// deniesToken judges the challenges of a 401. It is lenient: without a usable
// challenge (RFC 9110 15.5.2 demands one, servers forget it) and for codes that
// nobody registered, the status itself says that the token is the problem.
func deniesToken(h http.Header) bool {
	denied := true
	for _, c := range parseChallenges(h.Values("WWW-Authenticate")) {
		if !c.forTokens() {
			continue
		}
		switch c.param("error") {
		case "invalid_token": // RFC 6750 3.1
			return true
		case "insufficient_scope", "invalid_request", // RFC 6750 3.1
			"insufficient_user_authentication",     // RFC 9470 3
			"use_dpop_nonce", "invalid_dpop_proof": // RFC 9449 7.1, 9
			denied = false
		}
	}
	return denied
}

const (
	maxKept  = 8 << 10  // of a rejected response's body, for RejectedError
	maxDrain = 64 << 10 // to read for the sake of keeping the connection
	// maxDiscard bounds the time for both: a server may send its 401 as
	// slowly as it likes.
	maxDiscard = time.Second
)

// discard releases the connection of a response that the caller will not see,
// for reuse where that is cheap, and leaves a copy of the start of its body.
// If uploading, the write loop of the request may still be inside Read.
func discard(ctx context.Context, resp *http.Response, uploading bool) {
	src := resp.Body
	ctx, cancel := context.WithTimeout(ctx, maxDiscard)
	defer cancel()
	// Closing is what ends a Read in net/http, whatever the base does with
	// its context.
	stop := context.AfterFunc(ctx, func() { _ = src.Close() })
	kept, err := io.ReadAll(io.LimitReader(src, maxKept))
	if err == nil && resp.ContentLength > maxKept && resp.ContentLength <= maxDrain {
		_, _ = io.Copy(io.Discard, io.LimitReader(src, maxDrain))
	}
	switch {
	case !stop(): // closed already
	case uploading:
		// HTTP/2 waits in Close until the write loop has ended, or the
		// request's context. A loop that waits for what the caller writes
		// after it has seen the answer would hang both.
		go func() { _ = src.Close() }()
	default:
		_ = src.Close()
	}
	resp.Body = io.NopCloser(bytes.NewReader(kept))
}
