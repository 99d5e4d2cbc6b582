package testserver

// schema is one text for both databases, except for the name of the type that
// holds bytes. Times are milliseconds since 1970 of the server's clock, and
// NULL where there is none. Tokens are here as hashes only.
//
// A family has one active token per branch, whatever happens: a server that
// forks gives each sibling a branch of its own.
const schema = `
CREATE TABLE IF NOT EXISTS bulk (id BIGINT PRIMARY KEY, seq BIGINT NOT NULL);
INSERT INTO bulk (id, seq) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;

CREATE TABLE IF NOT EXISTS users (
	id TEXT PRIMARY KEY,
	token_version BIGINT NOT NULL DEFAULT 0,
	disabled_at BIGINT,
	password BLOB
);

CREATE TABLE IF NOT EXISTS sessions (
	id TEXT PRIMARY KEY,
	user_id TEXT REFERENCES users(id),
	client_id TEXT NOT NULL,
	issuer TEXT NOT NULL,
	scope TEXT NOT NULL,
	device_id TEXT NOT NULL,
	device_name TEXT NOT NULL,
	user_agent TEXT NOT NULL,
	ip TEXT NOT NULL,
	dpop_jkt TEXT NOT NULL,
	mtls_x5t TEXT NOT NULL,
	acr TEXT NOT NULL,
	auth_time BIGINT,
	token_version BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	absolute_expires_at BIGINT NOT NULL,
	lock_seq BIGINT NOT NULL DEFAULT 0,
	last_used_at BIGINT,
	idle_expires_at BIGINT,
	refresh_count BIGINT NOT NULL DEFAULT 0,
	branches BIGINT NOT NULL DEFAULT 0,
	revoked_at BIGINT,
	revoke_reason TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS sessions_user ON sessions (user_id);
CREATE INDEX IF NOT EXISTS sessions_end ON sessions (absolute_expires_at);

CREATE TABLE IF NOT EXISTS refresh_tokens (
	hash BLOB PRIMARY KEY,
	session_id TEXT NOT NULL REFERENCES sessions(id),
	generation BIGINT NOT NULL,
	branch BIGINT NOT NULL,
	nonce BLOB NOT NULL,
	parent_hash BLOB,
	child_hash BLOB,
	status BIGINT NOT NULL,
	issued_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	clock_skew BIGINT NOT NULL,
	used_at BIGINT,
	use_count BIGINT NOT NULL,
	access_jti TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS one_active_per_branch ON refresh_tokens (session_id, branch) WHERE status = 0;
CREATE INDEX IF NOT EXISTS refresh_tokens_session ON refresh_tokens (session_id, generation);
CREATE INDEX IF NOT EXISTS refresh_tokens_parent ON refresh_tokens (parent_hash);

CREATE TABLE IF NOT EXISTS access_tokens (
	jti TEXT PRIMARY KEY,
	session_id TEXT NOT NULL REFERENCES sessions(id),
	scope TEXT NOT NULL,
	generation BIGINT NOT NULL,
	issued_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	first_used_at BIGINT,
	revoked_at BIGINT
);
CREATE INDEX IF NOT EXISTS access_tokens_session ON access_tokens (session_id);

CREATE TABLE IF NOT EXISTS documents (
	kind TEXT NOT NULL,
	id TEXT NOT NULL,
	lock_seq BIGINT NOT NULL DEFAULT 0,
	data BLOB NOT NULL,
	expires_at BIGINT,
	PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS documents_end ON documents (expires_at);
`

// The columns in the order in which they are scanned.
const (
	sessionColumns = `id, user_id, client_id, issuer, scope, device_id, device_name, user_agent, ip,
		dpop_jkt, mtls_x5t, acr, auth_time, token_version, created_at, absolute_expires_at,
		last_used_at, idle_expires_at, refresh_count, branches, revoked_at, revoke_reason`
	refreshColumns = `hash, session_id, generation, branch, nonce, parent_hash, child_hash, status,
		issued_at, expires_at, clock_skew, used_at, use_count, access_jti`
	accessColumns = `jti, session_id, scope, generation, issued_at, expires_at, first_used_at, revoked_at`
)
