package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/pprof/profile"
)

// mergeProfiles makes one profile of those in dir, without the paths of the machine that they were taken on: names of
// functions and lines are all that the compiler needs.
func mergeProfiles(dir, to string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.pprof"))
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("no process left a profile")
	}
	var all []*profile.Profile
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		p, err := profile.ParseData(data)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(name), err)
		}
		all = append(all, p)
	}
	merged, err := profile.Merge(all)
	if err != nil {
		return err
	}
	for _, f := range merged.Function {
		f.Filename = ""
	}
	for _, m := range merged.Mapping {
		m.File, m.BuildID = "", ""
	}
	merged.Comments = nil
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := merged.Write(f); err != nil {
		return err
	}
	return f.Close()
}
