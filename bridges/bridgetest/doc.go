// Package bridgetest tests both sides of the contract of package bridges: Suite
// is what every driver must pass, Script is a driver whose network a test plays.
package bridgetest
