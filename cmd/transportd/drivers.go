package main

import (
	"maps"
	"slices"

	"transportd/bridges"
	"transportd/bridges/irc"
	"transportd/bridges/matrix"
	"transportd/config"
)

// driverType is how a kind of driver is made from its section of the config.
type driverType struct {
	// open decodes and checks the section. It makes no connection. The error is
	// a config.Problems with everything that is wrong.
	open func(config.Section) (bridges.Driver, error)
	// settings is a pointer to the struct the section is decoded into.
	settings any
}

// drivers is the only list of drivers.
var drivers = map[string]driverType{
	"irc":    {open: openIRC, settings: new(irc.Config)},
	"matrix": {open: openMatrix, settings: new(matrix.Config)},
}

func driverNames() []string { return slices.Sorted(maps.Keys(drivers)) }

func openIRC(s config.Section) (bridges.Driver, error) {
	var c irc.Config
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	return irc.New(c)
}

func openMatrix(s config.Section) (bridges.Driver, error) {
	var c matrix.Config
	if err := s.Decode(&c); err != nil {
		return nil, err
	}
	return matrix.New(c)
}
