"""Asks a vendor's own library for credentials, as the environment configures them. Run by oracle.rs.

usage: oracle.py SOURCE [ARGUMENT...]
"""

import os
import sys

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def aws():
    import botocore.session

    keys = botocore.session.get_session().get_credentials().get_frozen_credentials()
    return keys.access_key


def aws_identity_token(audience):
    import botocore.session

    sts = botocore.session.get_session().create_client("sts")
    answer = sts.get_web_identity_token(Audience=[audience], SigningAlgorithm="RS256")
    return answer["WebIdentityToken"]


def google(origin):
    """The library asks some hosts whatever the file says: requests to them go to `origin`."""
    import google.auth
    import google.auth.transport.requests
    import requests

    class Redirected(requests.Session):
        def request(self, method, url, **options):
            url = url.replace("https://oauth2.googleapis.com/token", origin + "/oauth")
            url = url.replace("https://iamcredentials.googleapis.com", origin)
            return super().request(method, url, **options)

    credentials, _ = google.auth.default(scopes=[SCOPE])
    credentials.refresh(google.auth.transport.requests.Request(Redirected()))
    return credentials.token


def google_identity_token(audience):
    import google.auth.transport.requests
    from google.auth import compute_engine

    request = google.auth.transport.requests.Request()
    credentials = compute_engine.IDTokenCredentials(request, audience, use_metadata_identity_endpoint=True)
    credentials.refresh(request)
    return credentials.token


def azure(kind, scope, origin):
    """The library talks to an authority over https alone: its requests to https://authority.test go to `origin`."""
    from azure.core.pipeline.transport import RequestsTransport
    from azure import identity

    class Redirected(RequestsTransport):
        def send(self, request, **options):
            request.url = request.url.replace("https://authority.test", origin)
            return super().send(request, **options)

    options = {"transport": Redirected()}
    if kind in ("EnvironmentCredential", "WorkloadIdentityCredential"):
        options |= {"authority": "https://authority.test", "disable_instance_discovery": True}
    else:
        options["client_id"] = os.environ["AZURE_CLIENT_ID"]
    return getattr(identity, kind)(**options).get_token(scope).token


def anthropic(origin):
    from anthropic.lib.credentials import default_credentials

    return default_credentials(base_url=origin).provider().token


def openai(origin, file, provider, account):
    import openai.auth._workload as workload

    auth = workload.WorkloadIdentityAuth(
        workload_identity={
            "identity_provider_id": provider,
            "service_account_id": account,
            "provider": workload.k8s_service_account_token_provider(file),
        },
        token_exchange_url=origin + "/oauth/token",
    )
    return auth.get_token()


print(globals()[sys.argv[1]](*sys.argv[2:]))
