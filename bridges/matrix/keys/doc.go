// Package keys keeps the keys of an account's encryption (Olm and Megolm) in what the
// gateway stores for the account: sealed, backed up and removed with it. It is built
// with the tag goolm, without which the crypto of mautrix needs a C library.
package keys
