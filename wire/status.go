package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// StatusRequest asks a node how it is.
type StatusRequest struct{ empty }

// Status answers a StatusRequest: a JSON document. Fields may be added to it at
// any time; a client ignores those that it does not know.
type Status struct {
	// ClusterID is in hexadecimal.
	ClusterID     string `json:"cluster_id"`
	NodeID        string `json:"node_id"`
	Version       string `json:"version"`
	UptimeSeconds int64  `json:"uptime_seconds"`
	// Ready says that every shard of the node is.
	Ready          bool   `json:"ready"`
	FollowingLimit uint32 `json:"following_limit"`
	// Users and Follows are the sums over Shards.
	Users       uint64 `json:"users"`
	Follows     uint64 `json:"follows"`
	Connections int    `json:"connections"`
	// Memory is of the whole process.
	Memory MemoryStatus `json:"memory"`
	// Disk is nil if the file system of the data folder cannot tell.
	Disk *DiskStatus `json:"disk,omitempty"`
	// WritesRefused is empty, or says why the node answers writes with Unavailable.
	WritesRefused string    `json:"writes_refused,omitempty"`
	Shards        ShardList `json:"shards"`
}

// MemoryStatus says what memory is used for, in bytes.
type MemoryStatus struct {
	// HeapBytes are in use on the Go heap; SystemBytes were had from the system.
	HeapBytes   uint64 `json:"heap_bytes"`
	SystemBytes uint64 `json:"system_bytes"`
	// GraphBytes are the engines' own count of names, sets and order.
	GraphBytes uint64 `json:"graph_bytes"`
}

// DiskStatus says how much room the file system of the data folder has, in bytes.
type DiskStatus struct {
	FreeBytes uint64 `json:"free_bytes"`
	// MinFreeBytes is below what the node refuses writes; 0 is never.
	MinFreeBytes uint64 `json:"min_free_bytes"`
}

// ShardStatus is the state of one shard on the node.
type ShardStatus struct {
	Shard uint16 `json:"shard"`
	// Replicas names the nodes that hold the shard.
	Replicas []string `json:"replicas"`
	// Leader says that this node leads the shard; LeaderID names the node that does.
	Leader   bool   `json:"leader"`
	LeaderID string `json:"leader_id,omitempty"`
	// Ready says that the shard takes requests here.
	Ready bool   `json:"ready"`
	Term  uint64 `json:"term"`
	// Applied, Commit, LogFirst, LogLast and Snapshot are indexes of the shard's log.
	Applied  uint64 `json:"applied"`
	Commit   uint64 `json:"commit"`
	LogFirst uint64 `json:"log_first"`
	LogLast  uint64 `json:"log_last"`
	Snapshot uint64 `json:"snapshot"`
	Users    uint64 `json:"users"`
	Follows  uint64 `json:"follows"`
	// Outbox is how many changes wait to reach other shards.
	Outbox uint64 `json:"outbox"`
	// Queued is how many commands of writes wait for a place in the log, InFlight how
	// many log entries for their commit, and Waiting how many changes that clients wait
	// for until another shard shows them. They are 0 unless this node leads the shard.
	Queued     int    `json:"queued"`
	InFlight   int    `json:"in_flight"`
	Waiting    int    `json:"waiting"`
	GraphBytes uint64 `json:"graph_bytes"`
}

// Append appends the message's body.
func (m *Status) Append(dst []byte) []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic("wire: a status that is not JSON: " + err.Error())
	}
	return append(dst, b...)
}

// Decode reads the message from a whole body. It overwrites the message.
func (m *Status) Decode(body []byte) error {
	*m = Status{}
	if len(body) > MaxStatusBytes {
		return fmt.Errorf("status: %w", &LimitError{What: "bytes of status", Limit: MaxStatusBytes})
	}
	if err := json.Unmarshal(body, m); err != nil {
		return fmt.Errorf("status: %w: %w", ErrMalformed, err)
	}
	return nil
}

// ShardList holds at most MaxStatusShards shards.
type ShardList []ShardStatus

// UnmarshalJSON reads the shards one by one, so that a long array of short
// elements is refused before it takes much memory.
func (l *ShardList) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	start, err := dec.Token()
	if err != nil {
		return err
	}
	if start == nil {
		*l = nil
		return nil
	}
	if start != json.Delim('[') {
		return fmt.Errorf("%w: shards must be an array", ErrMalformed)
	}
	for *l = (*l)[:0]; dec.More(); {
		if len(*l) == MaxStatusShards {
			return &LimitError{What: "shards", Limit: MaxStatusShards}
		}
		var s ShardStatus
		if err := dec.Decode(&s); err != nil {
			return err
		}
		*l = append(*l, s)
	}
	return nil
}
