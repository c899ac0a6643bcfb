<?php
// Log in once, use the token for every request, log out: needs only PHP's curl extension.

function request(string $method, string $path, array $headers, string $body = ''): array
{
    $curl = curl_init(getenv('BASE_URL') . $path);
    curl_setopt_array($curl, [CURLOPT_CUSTOMREQUEST => $method, CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 30]);
    $body === '' || curl_setopt($curl, CURLOPT_POSTFIELDS, $body);
    // A private certificate authority's file, where the server's certificate comes from one.
    getenv('CA_FILE') && curl_setopt($curl, CURLOPT_CAINFO, getenv('CA_FILE'));
    $answer = curl_exec($curl);
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $answer === false ? curl_error($curl) : $answer];
}

function expect(int $expected, array $answer): mixed
{
    if ($answer[0] !== $expected) {
        fwrite(STDERR, "expected $expected: $answer[0] $answer[1]\n");
        exit(1);
    }
    return json_decode($answer[1], true);
}

$login = json_encode(['username' => getenv('USERNAME'), 'password' => getenv('PASSWORD'),
    'organization_id' => getenv('ORGANIZATION_ID')]);
$json = ['Content-Type: application/json', 'cache-control: no-cache'];
$issued = expect(200, request('POST', '/api/auth/login/', $json, $login));
echo 'expiry: ', $issued['expiry'], "\n";

// Keep the token and reuse it until it expires: a login for every request soon reaches the
// organization's limit of live tokens, and the next login is refused.
$use = ["Authorization: Token $issued[token]"];
$list = expect(200, request('GET', '/api/v1/organizations/', $use));
echo 'organizations: ', implode(', ', array_column($list['results'], 'uuid')), "\n";
expect(204, request('POST', '/api/auth/logout/', $use)); // Makes room for another token at once.
expect(401, request('GET', '/api/v1/organizations/', $use)); // It never works again.
echo "ok\n";
