package filestore

// DecodeKey reads a key as people write it.
var DecodeKey = decodeKey
