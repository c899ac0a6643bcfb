# Log in once, use the token for every request, log out: needs nothing but Ruby.
require "json"
require "net/http"

base = URI(ENV.fetch("BASE_URL"))
login = %w[username password organization_id].to_h { |name| [name, ENV.fetch(name.upcase)] }
http = Net::HTTP.new(base.host, base.port)
http.use_ssl = base.scheme == "https"
# A private certificate authority's file, where the server's certificate comes from one.
http.ca_file = ENV["CA_FILE"] if ENV["CA_FILE"]

json = { "Content-Type" => "application/json", "cache-control" => "no-cache" }
answer = http.post("/api/auth/login/", login.to_json, json)
abort "login: #{answer.code} #{answer.body}" unless answer.code == "200"
issued = JSON.parse(answer.body)
puts "expiry: #{issued["expiry"]}"

# Keep the token and reuse it until it expires: a login for every request soon reaches the
# organization's limit of live tokens, and the next login is refused.
# One space is enough; clients in the field send two, and the server takes any white space.
use = { "Authorization" => "Token  #{issued["token"]}" }
[
  ["GET", "/api/v1/organizations/", "200"],
  ["POST", "/api/auth/logout/", "204"], # Done with it: this makes room for another token at once.
  ["GET", "/api/v1/organizations/", "401"], # A token that was logged out never works again.
].each do |method, path, expected|
  answer = http.send_request(method, path, nil, use)
  abort "#{method} #{path}: #{answer.code} #{answer.body}" unless answer.code == expected
  puts "organizations: #{JSON.parse(answer.body)["results"].map { |item| item.values_at("uuid", "name") }}" if expected == "200"
end
puts "ok"
