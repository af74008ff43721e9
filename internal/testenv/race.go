//go:build race

package testenv

// raceDetector: transportd is built as the tests are.
const raceDetector = true
