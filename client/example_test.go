package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kithgraph/kith/client"
	"github.com/kithgraph/kith/server"
)

// startNode runs a node in memory and connects to it.
func startNode() (c *client.Client, stop func()) {
	ctx := context.Background()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	node, err := server.Start(ctx, server.Options{
		Listener: listener, FS: vfs.NewMem(), Dir: "data", Now: time.Now, Rand: rand.Reader,
	})
	if err != nil {
		log.Fatal(err)
	}
	c, err = client.Dial(ctx, client.Options{Addr: node.Addr().String()})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		c.Close()
		if err := node.Shutdown(ctx); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	c, stop := startNode() // or client.Dial(ctx, client.Options{Addr: "127.0.0.1:7400"})
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	results, err := c.Follow(ctx, "alice", "bob", "carol", "alice")
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println("alice follows", r.UserID+":", r.Code)
	}
	if _, err := c.Follow(ctx, "bob", "alice"); err != nil {
		log.Fatal(err)
	}

	checks, err := c.Check(ctx, "alice", "bob", "carol", "nobody")
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range checks {
		fmt.Println(r.UserID, "is", r.Type)
	}

	info, err := c.Info(ctx, "alice")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("followers", info[0].Followers, "following", info[0].Following, "mutual", info[0].Mutual)
	// Output:
	// alice follows bob: ok
	// alice follows carol: ok
	// alice follows alice: self_follow
	// bob is mutual
	// carol is following
	// nobody is none
	// followers 1 following 2 mutual 1
}

func ExampleClient_Followers() {
	c, stop := startNode()
	defer stop()
	ctx := context.Background()

	rows := []client.ImportRow{{"ann", "zoe", 100}, {"ben", "zoe", 300}, {"cyd", "zoe", 200}}
	im := c.Import(ctx, client.ImportOptions{})
	for _, row := range rows {
		if err := im.Add(row); err != nil {
			log.Fatal(err)
		}
	}
	if err := im.Close(); err != nil {
		log.Fatal(err)
	}

	for item, err := range c.Followers(ctx, "zoe") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(item.UserID, item.Time().Format(time.TimeOnly))
	}
	// Output:
	// ben 00:05:00
	// cyd 00:03:20
	// ann 00:01:40
}

func ExampleClient_FollowingPage() {
	c, stop := startNode()
	defer stop()
	ctx := context.Background()
	if _, err := c.Follow(ctx, "alice", "bob", "carol", "dave"); err != nil {
		log.Fatal(err)
	}

	first, err := c.FollowingPage(ctx, "alice", client.PageOptions{Limit: 2})
	if err != nil {
		log.Fatal(err)
	}
	second, err := c.FollowingPage(ctx, "alice", client.PageOptions{Limit: 2, Cursor: first.NextCursor})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(first.Items), "and", len(second.Items), "of", second.Total)
	fmt.Println("at the end:", second.NextCursor == "")

	_, err = c.FollowingPage(ctx, "alice", client.PageOptions{Cursor: "made up"})
	fmt.Println(errors.Is(err, client.ErrBadCursor), client.SafeToRetry(err))
	// Output:
	// 2 and 1 of 3
	// at the end: true
	// true false
}

func ExampleClient_Import() {
	c, stop := startNode()
	defer stop()
	ctx := context.Background()

	im := c.Import(ctx, client.ImportOptions{OnResult: func(r client.ImportResult) {
		if err := r.Err(); err != nil {
			fmt.Printf("row %d: %v\n", r.Number, err)
		} else {
			fmt.Printf("row %d: changed %v\n", r.Number, r.Changed)
		}
	}})
	for _, row := range []client.ImportRow{{"alice", "bob", 100}, {"alice", "alice", 200}, {"alice", "bob", 300}} {
		if err := im.Add(row); err != nil {
			log.Fatal(err)
		}
	}
	if err := im.Close(); err != nil {
		log.Fatal(err)
	}
	for edge, err := range c.Export(ctx, client.ExportOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(edge.Follower, edge.Followee, edge.Time)
	}
	// Output:
	// row 0: changed true
	// row 1: kith: self_follow
	// row 2: changed false
	// alice bob 100
}

// A write whose outcome is unknown may be made again.
func ExampleSafeToRetry() {
	c, stop := startNode()
	defer stop()
	ctx := context.Background()

	_, err := c.Unfollow(ctx, "alice", "bob")
	for attempt := 0; attempt < 3 && client.SafeToRetry(err); attempt++ {
		_, err = c.Unfollow(ctx, "alice", "bob")
	}
	fmt.Println(err)
	// Output: <nil>
}
