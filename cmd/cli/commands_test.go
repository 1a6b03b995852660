package main

import (
	"strings"
	"testing"
)

func TestOperations(t *testing.T) {
	for _, output := range []string{"table", "json", "tsv"} {
		sh := startNode(t)
		var lines []string
		for _, line := range []string{
			"follow alice bob carol dave", "follow alice bob erin", "follow bob alice", "follow carol alice alice",
			"follow alice f g h", "check alice bob carol dave nobody alice", "info alice bob nobody",
			"followers alice", "following alice", "following alice --limit 2", "mutuals alice", "followers nobody",
			"following alice --all --limit 2", "followers alice --all", "followers nobody --all",
			"unfollow alice bob nobody", "check alice bob", "mutuals alice",
		} {
			lines = append(lines, "--output "+output+" "+line)
		}
		compare(t, "operations."+output, sh.transcript(lines...))
	}
}

func TestRefusals(t *testing.T) {
	sh := startNode(t)
	many := strings.Repeat(" x", 21)
	compare(t, "refusals", sh.transcript("follow alice"+many, "check alice"+strings.Repeat(many, 5), "info"+strings.Repeat(many, 5),
		"followers alice --limit 501", "followers alice --cursor forged", "followers alice --cursor forged --all"))
}
