package arch

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// No engine is here to build the Dockerfile. It is taken apart as the Dockerfile reference says, as far as ours goes
// (no heredocs, no escape directive), and what would fail or be unsafe is looked for.

// An instruction is one line of a Dockerfile, with those that continue it.
type instruction struct {
	name  string // upper case
	flags map[string]string
	args  []string // of the JSON form, or the words
	json  bool
	text  string
}

// A stage is what one FROM begins.
type stage struct {
	image, name  string
	instructions []instruction
}

var knownInstructions = []string{"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}

// parseDockerfile returns the stages, in order.
func parseDockerfile(text string) (stages []stage, err error) {
	pending := ""
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || line == "" {
			continue // between continued lines as well
		}
		if rest, more := strings.CutSuffix(line, `\`); more {
			pending += rest + " "
			continue
		}
		in, err := parseInstruction(pending + line)
		pending = ""
		if err == nil && in.name != "FROM" && len(stages) == 0 && in.name != "ARG" {
			err = fmt.Errorf("%s before the first FROM", in.name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number+1, err)
		}
		if in.name != "FROM" {
			if len(stages) > 0 {
				last := &stages[len(stages)-1]
				last.instructions = append(last.instructions, in)
			}
			continue
		}
		s := stage{image: in.args[0]}
		if len(in.args) == 3 && strings.EqualFold(in.args[1], "as") {
			s.name = in.args[2]
		} else if len(in.args) != 1 {
			return nil, fmt.Errorf("line %d: FROM %v", number+1, in.args)
		}
		stages = append(stages, s)
	}
	if pending != "" {
		return nil, fmt.Errorf("the last line goes on: %q", pending)
	}
	return stages, nil
}

func parseInstruction(text string) (in instruction, err error) {
	name, rest, _ := strings.Cut(text, " ")
	in = instruction{name: strings.ToUpper(name), flags: map[string]string{}, text: text}
	if !slices.Contains(knownInstructions, in.name) {
		return in, fmt.Errorf("unknown instruction %q", name)
	}
	rest = strings.TrimSpace(rest)
	for strings.HasPrefix(rest, "--") {
		flag, after, _ := strings.Cut(rest, " ")
		key, value, _ := strings.Cut(flag, "=")
		in.flags[key] = value
		rest = strings.TrimSpace(after)
	}
	if in.name == "HEALTHCHECK" {
		kind, after, _ := strings.Cut(rest, " ")
		if kind != "CMD" {
			return in, fmt.Errorf("a health check by %q", kind)
		}
		rest = strings.TrimSpace(after)
	}
	if strings.HasPrefix(rest, "[") {
		in.json = true
		if err := json.Unmarshal([]byte(rest), &in.args); err != nil {
			return in, fmt.Errorf("%s: %w", in.name, err)
		}
	} else {
		in.args = strings.Fields(rest)
	}
	if len(in.args) == 0 {
		return in, fmt.Errorf("%s of nothing", in.name)
	}
	return in, nil
}

// only returns the one instruction of that name in a stage.
func (s stage) only(name string) (found instruction, n int) {
	for _, in := range s.instructions {
		if in.name == name {
			found, n = in, n+1
		}
	}
	return found, n
}

// dockerfileProblems says what would fail when the file is built at root, or be unsafe when its image runs.
func dockerfileProblems(text, root string) (bad []string) {
	problem := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	stages, err := parseDockerfile(text)
	if err != nil || len(stages) == 0 {
		return append(bad, fmt.Sprintf("%d stages, %v", len(stages), err))
	}
	for i, s := range stages {
		if _, tag, ok := strings.Cut(s.image, ":"); !ok || tag == "latest" {
			problem("image without a version: %s", s.image)
		}
		for _, in := range s.instructions {
			if in.name == "EXPOSE" && strings.Contains(in.text, "5021") {
				problem("the API's port is exposed")
			}
			if in.name != "COPY" && in.name != "ADD" {
				continue
			}
			if from, ok := in.flags["--from"]; ok {
				if !slices.ContainsFunc(stages[:i], func(s stage) bool { return s.name == from }) {
					problem("%s: there is no stage %q before", in.text, from)
				}
				continue
			}
			for _, source := range in.args[:len(in.args)-1] {
				if _, err := os.Stat(filepath.Join(root, source)); err != nil {
					problem("%s: %v", in.text, err)
				}
			}
		}
	}
	last := stages[len(stages)-1]
	user, users := last.only("USER")
	if users == 0 || user.args[0] == "root" || strings.HasPrefix(user.args[0], "0") {
		problem("it runs as root")
	}
	for _, name := range []string{"ENTRYPOINT", "CMD", "HEALTHCHECK"} {
		if in, n := last.only(name); n != 1 || !in.json {
			problem("%d %s, or one that needs a shell", n, name)
		}
	}
	if entry, _ := last.only("ENTRYPOINT"); !slices.Equal(entry.args, []string{"tini", "--", "bridge"}) {
		problem("entry point %q: signals would not reach the daemon, or nobody would wait for its children", entry.args)
	}
	if volume, n := last.only("VOLUME"); n != 1 || !strings.Contains(text, "BRIDGE_DATA="+volume.args[0]) {
		problem("the data is in no volume")
	}
	return bad
}

func dockerfile(t *testing.T) (text, root string) {
	t.Helper()
	tree, err := load()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(tree.root, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data), tree.root
}

func TestDockerfile(t *testing.T) {
	text, root := dockerfile(t)
	for _, bad := range dockerfileProblems(text, root) {
		t.Error(bad)
	}
	stages, err := parseDockerfile(text)
	if err != nil || len(stages) != 2 {
		t.Fatalf("%d stages, %v; want one that builds and one that runs", len(stages), err)
	}
	// The module's own floor has to be met by the image that builds it.
	want := "golang:" + strings.Join(strings.Split(readMod(t, "go.mod").Go.Version, ".")[:2], ".")
	if !strings.HasPrefix(stages[0].image, want) {
		t.Errorf("built by %s, and go.mod wants %s", stages[0].image, want)
	}
	if i, j := strings.Index(text, "quicgen run"), strings.Index(text, "go build"); i < 0 || j < i {
		t.Error("quic-go's copy is not made before the build")
	}
}

// TestDockerfileCheckSeesTheMistakes breaks the file in the ways that the check is there for.
func TestDockerfileCheckSeesTheMistakes(t *testing.T) {
	text, root := dockerfile(t)
	for _, change := range [][2]string{
		{"USER bridge\n", ""},
		{"USER bridge\n", "USER root\n"},
		{"USER bridge\n", "USER 0:0\n"},
		{"FROM debian:bookworm-slim", "FROM debian"},
		{"FROM debian:bookworm-slim", "FROM debian:latest"},
		{"--from=build", "--from=builder"},
		{"COPY go.mod go.sum ./", "COPY go.mod go.work ./"},
		{"EXPOSE 4021/tcp", "EXPOSE 5021 4021/tcp"},
		{`ENTRYPOINT ["tini", "--", "bridge"]`, `ENTRYPOINT tini -- bridge`},
		{`ENTRYPOINT ["tini", "--", "bridge"]`, `ENTRYPOINT ["tini", "--", "bridge"`},
		{`ENTRYPOINT ["tini", "--", "bridge"]`, `ENTRYPOINT ["bridge"]`},
		{"VOLUME /data", ""},
		{"ENV BRIDGE_DATA=/data", "ENV BRIDGE_DATA=/elsewhere"},
		{"HEALTHCHECK ", "HEALTCHECK "},
		{`CMD ["daemon"]`, `CMD ["daemon"] \`},
		{"WORKDIR /src", "WORKDIR"},
		{"FROM golang:1.26-bookworm AS build\n", ""},
	} {
		broken := strings.Replace(text, change[0], change[1], 1)
		if broken == text {
			t.Errorf("the file has no %q", change[0])
		}
		if len(dockerfileProblems(broken, root)) == 0 {
			t.Errorf("%q passes", change[1])
		}
	}
}
