package testserver

// who is whose request it is, as far as its tokens or its form tell.
type who struct{ client, session, device, user string }

// who reads it from the refresh token presented, the access token in the
// header or the form of a login. It checks nothing.
func (s *Server) who(x *exchange) who {
	id := x.session
	if token, _, ok := credentialsOf(x.r); ok && id == "" {
		if c, err := s.access(x, token); err == nil {
			id = c.Session
		}
	}
	out := who{session: id, client: x.client, user: x.user, device: x.device}
	if id == "" {
		return out
	}
	if sess, err := s.store.session(x.ctx(), id); err == nil {
		out.client, out.device, out.user = sess.client, sess.device, sess.user
	}
	return out
}

// introduce notes who the form of a request says is asking, for the rules that
// want to know before anything is checked.
func (x *exchange) introduce() {
	form := x.r.PostForm // nil unless the endpoint has read one
	if form != nil {
		x.client, x.user, x.device = form.Get("client_id"), form.Get("username"), form.Get("device")
	}
	if name, _, ok := basic(x.r.Header.Get("Authorization")); ok {
		x.client = name
	}
}
