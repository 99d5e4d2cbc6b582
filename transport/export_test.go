package transport

import "strings"

// Parsed is a challenge as the parser read it.
type Parsed struct {
	Scheme, Token68 string
	Params          [][2]string
}

// ParseChallenges is the parser of WWW-Authenticate.
func ParseChallenges(fields []string) []Parsed {
	var list []Parsed
	for _, c := range parseChallenges(fields) {
		p := Parsed{Scheme: c.scheme, Token68: c.token68}
		for _, param := range c.params {
			p.Params = append(p.Params, [2]string{param.name, param.value})
		}
		list = append(list, p)
	}
	return list
}

// String is the challenge in the strictest spelling.
func (p Parsed) String() string {
	var b strings.Builder
	b.WriteString(p.Scheme)
	separator := " "
	if p.Token68 != "" {
		b.WriteString(" " + p.Token68)
		separator = ", "
	}
	for _, param := range p.Params {
		b.WriteString(separator + param[0] + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(param[1]) + `"`)
		separator = ", "
	}
	return b.String()
}
