package blobs

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/iroh-ipfs/bridge/iroh/bao"
)

// vectors are from iroh-blobs 0.104.0.
type vectors struct {
	Collection struct {
		EmptyCollection struct {
			HashSeq  hexBytes `json:"hash_seq_hex"`
			Meta     hexBytes `json:"meta_blob_hex"`
			RootHash bao.Hash `json:"root_hash"`
		} `json:"empty_collection"`
		Files []struct {
			Hash bao.Hash
			Name string
			Size int
		}
		GetAll struct {
			BLAKE3 bao.Hash
			Len    int
		} `json:"get_all_response"`
		HashSeq  hexBytes `json:"hash_seq_hex"`
		Meta     hexBytes `json:"meta_blob_hex"`
		MetaHash bao.Hash `json:"meta_hash"`
		RootHash bao.Hash `json:"root_hash"`
		Sizes    struct {
			Hex hexBytes
			Len int
		} `json:"sizes_request_response"`
	}
	ProviderProbe []struct {
		Case          string
		End           string
		ReceivedFirst hexBytes `json:"received_first"`
		ReceivedLen   int      `json:"received_len"`
		SendSide      string   `json:"send_side"`
	} `json:"provider_probe"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}
