package testserver

// The endpoints beside the sessions' own.
const (
	Authorize       Endpoint = "authorize"            // /oauth/authorize
	Push            Endpoint = "par"                  // /oauth/par
	RedeemCode      Endpoint = "authorization_code"   // grant authorization_code
	DeviceAuthorize Endpoint = "device_authorization" // /oauth/device_authorization
	PollDevice      Endpoint = "device_code"          // grant urn:ietf:params:oauth:grant-type:device_code
	Introspect      Endpoint = "introspect"           // /oauth/introspect
	UserInfo        Endpoint = "userinfo"             // /oauth/userinfo
	RegisterClient  Endpoint = "register"             // /oauth/register
	EndSession      Endpoint = "end_session"          // /oauth/end_session
	Keys            Endpoint = "jwks"                 // /oauth/jwks
	Discovery       Endpoint = "discovery"            // /.well-known/
)

// What their requests can come to.
const (
	CodeIssued     Outcome = "code_issued"
	CodeRefused    Outcome = "code_refused"
	CodeReplayed   Outcome = "code_replayed"
	UserAsked      Outcome = "user_asked"
	Pushed         Outcome = "pushed"
	Refused        Outcome = "refused"
	DevicePending  Outcome = "authorization_pending"
	DeviceSlowDown Outcome = "slow_down"
	DeviceDenied   Outcome = "access_denied"
	DeviceExpired  Outcome = "expired_token"
	Registered     Outcome = "registered"
)
