"""The GraphQL query for a pull request: everything the gate needs, of one moment (docs/decisions/0001).

`viewer` is the App's bot, whose name GitHub gives to what it makes for us. An installation token may ask for it, as it
may not for REST's "Get the authenticated user" (as github.com/fullsend-ai/fullsend/pull/1953 found).
"""

QUERY = """
query ($owner: String!, $name: String!, $number: Int!, $after: String, $afterSuites: String) {
  viewer { login }
  repository(owner: $owner, name: $name) { databaseId isPrivate pullRequest(number: $number) {
    number title url state isDraft merged mergedAt createdAt headRefOid baseRefName mergeable mergeStateStatus
    reviewDecision isMergeQueueEnabled isCrossRepository author { login } mergedBy { login } mergeCommit { oid }
    labels(first: 100) { nodes { name } }
    reviews(last: 50) { nodes { submittedAt commit { oid } } }
    timelineItems(
      last: 1
      itemTypes: [READY_FOR_REVIEW_EVENT, REOPENED_EVENT, BASE_REF_CHANGED_EVENT, HEAD_REF_FORCE_PUSHED_EVENT]
    ) { nodes {
      __typename
      ... on ReadyForReviewEvent { createdAt }
      ... on ReopenedEvent { createdAt }
      ... on BaseRefChangedEvent { createdAt }
      ... on HeadRefForcePushedEvent { createdAt }
    } }
    commits(last: 1) { nodes { commit {
      oid author { email } signature { isValid wasSignedByGitHub } parents(first: 3) { nodes { oid } }
      checkSuites(first: 100, after: $afterSuites) { pageInfo { hasNextPage endCursor } nodes {
        status conclusion createdAt app { databaseId clientId slug name } checkRuns(first: 1) { totalCount }
      } }
      statusCheckRollup { contexts(first: 100, after: $after) { pageInfo { hasNextPage endCursor } nodes {
        __typename
        ... on CheckRun {
          name status conclusion startedAt completedAt detailsUrl isRequired(pullRequestNumber: $number)
          checkSuite { createdAt app { databaseId clientId } }
        }
        ... on StatusContext { context state createdAt targetUrl isRequired(pullRequestNumber: $number) }
      } } }
    } } }
  } }
}
"""
