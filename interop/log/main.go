// Checks a log's checkpoint, all of its entries and every receipt's proof with Go's own notes and trees (golang.org/x/mod/sumdb), and that what was
// tampered with is rejected.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type head struct {
	size int64
	root tlog.Hash
}

// open checks a checkpoint's signature and reads its three lines.
func open(text []byte, verifier note.Verifier) (head, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return head{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return head{}, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return head{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return head{size, root}, err
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		if i >= int64(len(h)) {
			return nil, fmt.Errorf("no hash %d", i)
		}
		out = append(out, h[i])
	}
	return out, nil
}

// c2sp is a bundle's path: groups of three digits.
func c2sp(n int64) string {
	text := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		text = fmt.Sprintf("x%03d/%s", n%1000, text)
	}
	return text
}

func entries(folder string, size int64) ([][]byte, error) {
	var all [][]byte
	for n := int64(0); n*256 < size; n++ {
		path := filepath.Join(folder, "log/tile/entries", c2sp(n))
		if width := size - n*256; width < 256 {
			path += fmt.Sprintf(".p/%d", width)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for len(data) > 0 {
			length := int(binary.BigEndian.Uint16(data))
			all = append(all, data[2:2+length])
			data = data[2+length:]
		}
	}
	return all, nil
}

// root is the hash of a tree of these entries.
func root(all [][]byte) (tlog.Hash, hashes, error) {
	var stored hashes
	for i, entry := range all {
		more, err := tlog.StoredHashes(int64(i), entry, stored)
		if err != nil {
			return tlog.Hash{}, nil, err
		}
		stored = append(stored, more...)
	}
	made, err := tlog.TreeHash(int64(len(all)), stored)
	return made, stored, err
}

func clone(data []byte) []byte {
	return append([]byte{}, data...)
}

// signed is how many bytes there are up to the end of the log's own signature: what witnesses add after it is not the log's.
func signed(text []byte, verifier note.Verifier) int {
	start := bytes.Index(text, []byte("\u2014 "+verifier.Name()+" "))
	if start < 0 {
		return 0
	}
	return start + bytes.IndexByte(text[start:], '\n')
}

// unused says whether the last bits of a base64 character carry nothing: Go's decoder takes any.
func unused(text []byte, at int) bool {
	return at+1 < len(text) && text[at+1] == '='
}

// proven checks a C2SP tlog-proof of an entry.
func proven(proof, entry []byte, verifier note.Verifier) (head, error) {
	top, checkpoint, found := bytes.Cut(proof, []byte("\n\n"))
	lines := strings.Split(string(top), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return head{}, fmt.Errorf("not a proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return head{}, err
	}
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return head{}, err
		}
		path = append(path, hash)
	}
	h, err := open(checkpoint, verifier)
	if err != nil {
		return head{}, err
	}
	return h, tlog.CheckRecord(path, h.size, h.root, index, tlog.RecordHash(entry))
}

func must(err error, what string) {
	if err != nil {
		fmt.Println(what+":", err)
		os.Exit(1)
	}
}

func main() {
	folder := os.Args[1]
	vkey, err := os.ReadFile(filepath.Join(folder, "owner.vkey"))
	must(err, "owner.vkey")
	verifier, err := note.NewVerifier(strings.TrimSpace(string(vkey)))
	must(err, "the verifier key")
	checkpoint, err := os.ReadFile(filepath.Join(folder, "log/checkpoint"))
	must(err, "the checkpoint")
	h, err := open(checkpoint, verifier)
	must(err, "the checkpoint")
	all, err := entries(folder, h.size)
	must(err, "the entries")
	made, stored, err := root(all)
	must(err, "the tree")
	if made != h.root || int64(len(all)) != h.size {
		must(fmt.Errorf("%v, signed was %v", made, h.root), "the root")
	}
	rejected := 0
	if signed(checkpoint, verifier) == 0 {
		must(fmt.Errorf("no signature of the log"), "the checkpoint")
	}
	reject := func(bad bool, what string) {
		if !bad {
			must(fmt.Errorf("accepted"), what)
		}
		rejected++
	}
	for at := 0; at < signed(checkpoint, verifier); at += 7 {
		if unused(checkpoint, at) {
			continue
		}
		bad := clone(checkpoint)
		bad[at] ^= 1
		_, err := open(bad, verifier)
		reject(err != nil, fmt.Sprintf("a checkpoint with byte %d changed", at))
	}
	for i := range all {
		changed := append([][]byte{}, all...)
		changed[i] = append(append([]byte{}, all[i]...), ' ')
		other, _, err := root(changed)
		must(err, "the tree")
		reject(other != h.root, fmt.Sprintf("a log with entry %d changed", i))
	}
	receipts, _ := filepath.Glob(filepath.Join(folder, "receipts/*.dsse.json"))
	for _, path := range receipts {
		entry, err := os.ReadFile(path)
		must(err, path)
		proof, err := os.ReadFile(strings.TrimSuffix(path, ".dsse.json") + ".tlog-proof")
		must(err, path)
		old, err := proven(proof, entry, verifier)
		must(err, path)
		if old.size <= h.size {
			consistent, err := tlog.ProveTree(h.size, old.size, stored)
			must(err, path)
			must(tlog.CheckTree(consistent, h.size, h.root, old.size, old.root), path+" is of another history")
		}
		_, err = proven(proof, append(clone(entry), ' '), verifier)
		reject(err != nil, path+" changed")
		for at := 30; at < signed(proof, verifier); at += 11 {
			if unused(proof, at) {
				continue
			}
			bad := clone(proof)
			bad[at] ^= 1
			_, err = proven(bad, entry, verifier)
			reject(err != nil, fmt.Sprintf("the proof of %s with byte %d changed", path, at))
		}
	}
	fmt.Printf("%d entries and %d proofs accepted, %d tampered ones rejected\n", len(all), len(receipts), rejected)
}
