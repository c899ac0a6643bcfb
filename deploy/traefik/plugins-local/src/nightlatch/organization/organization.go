// Package organization tells Nightlatch which organization a path belongs to; Traefik itself cannot.
package organization

import (
	"context"
	"net/http"
	"regexp"
	"strings"
)

// path matches what can be read in one way only: no //, no segment that begins with a dot, no dot after
// a dot, no ; or \, and encoded no control character, % . / ; \ and no overlong UTF-8.
var path = regexp.MustCompile("^/api/v1/([a-z0-9]{2,32})(?:/(?:(?:[A-Za-z0-9_~!$&'()*+,=:@-]|%(?i:2[0-46-9A-D]|3[0-9AC-F]|5[0-9ABD-F]|7[0-9A-E]|C[2-9A-F]|[4689ABDEF][0-9A-F]))\\.?)+)*/?$")

// Config has no settings.
type Config struct{}

// CreateConfig is called by Traefik.
func CreateConfig() *Config { return &Config{} }

type organization struct{ next http.Handler }

// New is called by Traefik, once for each router.
func New(_ context.Context, next http.Handler, _ *Config, _ string) (http.Handler, error) {
	return &organization{next}, nil
}

func (o *organization) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	sent, _, _ := strings.Cut(request.RequestURI, "?")
	found := path.FindStringSubmatch(sent)
	if found == nil || request.URL.EscapedPath() != sent {
		http.Error(answer, "404 page not found", http.StatusNotFound)
		return
	}
	for name := range request.Header {
		if strings.HasPrefix(name, "X-Auth-") {
			request.Header.Del(name)
		}
	}
	// It names headers that would be removed on the way to the API, identity headers too.
	request.Header.Del("Connection")
	request.Header.Set("X-Organization-Id", found[1])
	o.next.ServeHTTP(answer, request)
}
