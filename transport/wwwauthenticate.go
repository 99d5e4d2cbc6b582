package transport

import "strings"

// authChallenge is one challenge (RFC 9110 11.3):
//
//	challenge = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
type authChallenge struct {
	scheme  string
	token68 string
	params  []authParam
}

// authParam is one auth-param (RFC 9110 11.2); its name is in lower case.
type authParam struct{ name, value string }

// forTokens reports whether the challenge asks for an OAuth access token.
func (c *authChallenge) forTokens() bool {
	return foldEqual(c.scheme, "Bearer") || foldEqual(c.scheme, "DPoP")
}

func (c *authChallenge) param(name string) string { return paramOf(c.params, name) }

func paramOf(params []authParam, name string) string {
	for _, p := range params {
		if foldEqual(p.name, name) {
			return p.value
		}
	}
	return ""
}

// add notes a parameter. A name occurs once per challenge (RFC 9110 11.2), so
// the first one stands: what comes later may have been smuggled in.
func (c *authChallenge) add(name, value string) {
	name = strings.ToLower(name)
	for _, p := range c.params {
		if p.name == name {
			return
		}
	}
	c.params = append(c.params, authParam{name, value})
}

// maxChallengeBytes bounds the work on what a server sends.
const maxChallengeBytes = 8 << 10

// parseChallenges reads the values of WWW-Authenticate fields. Several fields
// are one list (RFC 9110 5.3), so a parameter at the start of a field belongs
// to the challenge before it. What breaks the grammar is skipped up to the
// next comma; unknown schemes are read like any other.
func parseChallenges(fields []string) []authChallenge {
	var list []authChallenge
	budget := maxChallengeBytes
	for _, field := range fields {
		field = field[:min(len(field), budget)]
		budget -= len(field)
		list = parseField(field, list)
	}
	return list
}

func parseField(field string, list []authChallenge) []authChallenge {
	s := scanner{field}
	for {
		s.skip(func(c byte) bool { return isBlank(c) || c == ',' }) // empty elements: RFC 9110 5.6.1
		if s.rest == "" {
			return list
		}
		word := s.run(isTokenChar)
		switch {
		case word == "":
			s.skipElement()
		case s.equals():
			if value := s.value(); len(list) > 0 {
				list[len(list)-1].add(word, value)
			}
		default:
			list = append(list, authChallenge{scheme: word, token68: s.token68()})
		}
	}
}

// scanner reads a field value from the front.
type scanner struct{ rest string }

// run takes the characters at the front that are in the set.
func (s *scanner) run(in func(byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	word := s.rest[:n]
	s.rest = s.rest[n:]
	return word
}

func (s *scanner) skip(in func(byte) bool) { s.run(in) }

// equals takes an equals sign and the blanks around it (BWS, RFC 9110 5.6.3),
// or nothing.
func (s *scanner) equals() bool {
	after, ok := strings.CutPrefix(strings.TrimLeft(s.rest, " \t"), "=")
	if ok {
		s.rest = strings.TrimLeft(after, " \t")
	}
	return ok
}

// token68 takes the token68 that follows a scheme (RFC 9110 11.2), or nothing.
// It is told from a parameter by what comes after its equals signs.
func (s *scanner) token68() string {
	ahead := *s
	if ahead.run(isBlank) == "" {
		return ""
	}
	start := ahead.rest
	if ahead.run(isToken68Char) == "" {
		return ""
	}
	ahead.skip(func(c byte) bool { return c == '=' })
	word := start[:len(start)-len(ahead.rest)]
	ahead.skip(isBlank)
	if ahead.rest != "" && ahead.rest[0] != ',' {
		return ""
	}
	*s = ahead
	return word
}

// value takes the value of a parameter: a quoted-string or a token. Servers
// write addresses without quotes, so a token ends at a blank or a comma only.
func (s *scanner) value() string {
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	return s.run(func(c byte) bool { return !isBlank(c) && c != ',' })
}

// quoted takes a quoted-string (RFC 9110 5.6.4). One that is never closed ends
// with the field.
func (s *scanner) quoted() string {
	text := s.rest[1:]
	end := strings.IndexAny(text, `"\`)
	if end >= 0 && text[end] == '"' {
		s.rest = text[end+1:]
		return text[:end]
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			s.rest = text[i+1:]
			return b.String()
		case '\\':
			if i++; i == len(text) {
				continue
			}
		}
		b.WriteByte(text[i])
	}
	s.rest = ""
	return b.String()
}

// skipElement drops everything up to the next comma that is not quoted.
func (s *scanner) skipElement() {
	for s.rest != "" && s.rest[0] != ',' {
		if s.rest[0] == '"' {
			s.quoted()
		} else {
			s.rest = s.rest[1:]
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isAlphanumeric(c byte) bool {
	c = lower(c)
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9'
}

// isTokenChar is tchar of RFC 9110 5.6.2.
func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// isToken68Char is the set of RFC 9110 11.2 without the equals sign.
func isToken68Char(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0
}
