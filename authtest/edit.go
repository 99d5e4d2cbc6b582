package authtest

import "github.com/seed-9a12f4e2/pawl/internal/testserver"

// Edit names a way to spoil an answer.
type Edit string

// The edits that replace or reframe an answer.
const (
	EmptyBody       = Edit(testserver.EmptyBody)       // 200 and nothing
	HalfJSON        = Edit(testserver.HalfJSON)        // half the body, well framed
	Truncated       = Edit(testserver.Truncated)       // half the body under the Content-Length of the whole
	TruncatedChunks = Edit(testserver.TruncatedChunks) // half the body in chunks, and no last one. HTTP/1.1
	MalformedChunk  = Edit(testserver.MalformedChunk)  // half the body, and a chunk of impossible length. HTTP/1.1
	Garbage         = Edit(testserver.Garbage)         // bytes that are no HTTP. HTTP/1.1
	HugeBody        = Edit(testserver.HugeBody)        // 64 MiB of spaces after the body
	GzipBomb        = Edit(testserver.GzipBomb)        // 64 MiB of spaces in 64 KiB
	SlowHeaders     = Edit(testserver.SlowHeaders)     // eight bytes each 100 ms, from the first on. HTTP/1.1
	SlowBody        = Edit(testserver.SlowBody)        // a byte of the body each 100 ms
	CaptivePortal   = Edit(testserver.CaptivePortal)   // a 200 with a page in HTML
	PlainText       = Edit(testserver.PlainText)       // the body as text/plain
	FormEncoded     = Edit(testserver.FormEncoded)     // the members as a form, as GitHub does unasked
	ErrorIn200      = Edit(testserver.ErrorIn200)      // a 200 whose body is an error
	ByteOrderMark   = Edit(testserver.ByteOrderMark)   // a byte order mark first; RFC 8259 8.1 forbids it
	ConnectionClose = Edit(testserver.ConnectionClose) // the last answer of its connection; GOAWAY on HTTP/2
	EarlyHints      = Edit(testserver.EarlyHints)      // a 103 before the answer
	Unauthorized    = Edit(testserver.Unauthorized)    // 401 invalid_token, whatever the token was
	UnauthorizedWeb = Edit(testserver.UnauthorizedWeb) // 401 with a page in HTML and no challenge
)

// The edits of a token answer, in either dialect. They leave any other answer
// as it is.
const (
	NoAccessToken     = Edit(testserver.NoAccessToken)     // a success without an access token
	NoRefreshToken    = Edit(testserver.NoRefreshToken)    // though it was rotated
	SameRefreshToken  = Edit(testserver.SameRefreshToken)  // the refresh token that was presented, though it was rotated
	NoTokenType       = Edit(testserver.NoTokenType)       // no token_type
	TokenTypeBearer   = Edit(testserver.TokenTypeBearer)   // in lower case
	TokenTypeDPoP     = Edit(testserver.TokenTypeDPoP)     // token_type "DPoP"
	TokenTypeMAC      = Edit(testserver.TokenTypeMAC)      // token_type "mac"
	ExpiresString     = Edit(testserver.ExpiresString)     // expires_in as a string
	ExpiresFloat      = Edit(testserver.ExpiresFloat)      // expires_in with a fraction
	ExpiresZero       = Edit(testserver.ExpiresZero)       // expires_in 0
	ExpiresNegative   = Edit(testserver.ExpiresNegative)   // expires_in -1
	ExpiresMissing    = Edit(testserver.ExpiresMissing)    // no expires_in
	ExpiresHuge       = Edit(testserver.ExpiresHuge)       // expires_in 1e18
	ExpiresNanosecond = Edit(testserver.ExpiresNanosecond) // as one well-known mock has it
	DuplicateKeys     = Edit(testserver.DuplicateKeys)     // the access token twice; the last is the real one
	UnknownMembers    = Edit(testserver.UnknownMembers)    // members that nobody knows
)

// The edits that put something in between into the place of the answer: a
// proxy, a gateway, a server that is busy. Fault.Times makes a burst of one.
const (
	Forbidden           = Edit(testserver.Forbidden)           // 403 insufficient_scope: no refresh helps
	ProxyAuthentication = Edit(testserver.ProxyAuthentication) // 407 of a proxy that wants a password
	RequestTimeout      = Edit(testserver.RequestTimeout)      // 408, and the connection ends
	Misdirected         = Edit(testserver.Misdirected)         // 421: another connection, please
	TooEarly            = Edit(testserver.TooEarly)            // 425 (RFC 8470 5.2)
	TooManyRequests     = Edit(testserver.TooManyRequests)     // 429 with Retry-After
	ServerError         = Edit(testserver.ServerError)         // 500 of no kind that RFC 6749 knows
	BadGateway          = Edit(testserver.BadGateway)          // 502 with a page in HTML
	Unavailable         = Edit(testserver.Unavailable)         // 503 with Retry-After
	GatewayTimeout      = Edit(testserver.GatewayTimeout)      // 504 with a page in HTML
	InterimAnswers      = Edit(testserver.InterimAnswers)      // a 102 and two 103 before the answer
	Redirect            = Edit(testserver.Redirect)            // 307 to the same place: whoever follows sends its token twice
	RedirectAbroad      = Edit(testserver.RedirectAbroad)      // 307 to another origin: whoever follows gives its token away
	UnauthorizedHalfway = Edit(testserver.UnauthorizedHalfway) // 401 when half of the request's body was read. BeforeHandler
	HandshakeFailure    = Edit(testserver.HandshakeFailure)    // a TLS alert. OnAccept
)

// The edits of the key set and of metadata. They leave any other answer as it
// is.
const (
	NoKeys           = Edit(testserver.NoKeys)           // an empty key set
	UnknownKeyIDs    = Edit(testserver.UnknownKeyIDs)    // the keys under other names
	WrongIssuer      = Edit(testserver.WrongIssuer)      // metadata of another issuer: RFC 8414 3.3
	ForeignEndpoints = Edit(testserver.ForeignEndpoints) // all endpoints at another host
)
