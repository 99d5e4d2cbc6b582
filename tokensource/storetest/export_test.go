package storetest

import "time"

// WithPatience returns c with another bound on what a clause waits for.
func WithPatience(c Config, d time.Duration) Config {
	c.patience = d
	return c
}

// Clauses returns the names of all clauses, as "Group/name".
func Clauses() (names []string) {
	for _, g := range groups {
		for _, cl := range g.clauses {
			names = append(names, g.name+"/"+cl.name)
		}
	}
	return names
}

// Says returns the sentence of the contract that a clause tests.
func Says(name string) string {
	for _, g := range groups {
		for _, cl := range g.clauses {
			if g.name+"/"+cl.name == name {
				return cl.says
			}
		}
	}
	return ""
}
