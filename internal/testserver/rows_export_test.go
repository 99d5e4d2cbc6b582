package testserver

import (
	"reflect"
	"strings"
)

// Row counts what a struct has, what is scanned of it, and what is selected.
type Row struct{ Fields, Columns, Named int }

// Rows are those of the tables whose rows are structs. The mark that a row was
// read is none of its columns.
func Rows() map[string]Row {
	count := func(v any, columns []any, names string, unkept int) Row {
		return Row{reflect.TypeOf(v).NumField() - unkept, len(columns), len(strings.Split(names, ","))}
	}
	return map[string]Row{
		"user":         count(user{}, userRow(&user{}), userColumns, 0),
		"session":      count(session{}, sessionRow(&session{}), sessionColumns, 0),
		"refreshToken": count(refreshToken{}, refreshRow(&refreshToken{}), refreshColumns, 1),
		"accessToken":  count(accessToken{}, accessRow(&accessToken{}), accessColumns, 1),
	}
}
