locals {
  # Each a chart: a title, and time series as (legend, filter, how they are aligned, by what they are grouped).
  charts = [
    {
      title = "Runs that ended, an hour"
      series = [
        for name in ["succeeded_runs", "rolled_back_runs", "failed_runs"] :
        { legend = name, filter = local.counted[name], aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = [], seconds = 3600 }
      ]
    },
    {
      title = "Webhooks, and commands refused"
      series = [
        for name in ["webhooks_accepted", "webhooks_refused", "commands_refused"] :
        { legend = name, filter = local.counted[name], aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = [], seconds = 300 }
      ]
    },
    {
      title  = "Oldest message that waits, seconds"
      series = [{ legend = "", filter = local.waits, aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = ["resource.label.subscription_id"], seconds = 60 }]
    },
    {
      title  = "Dead letters"
      series = [{ legend = "", filter = local.dead, aligner = "ALIGN_MAX", reducer = "REDUCE_MAX", by = [], seconds = 60 }]
    },
    {
      title  = "Errors logged"
      series = [{ legend = "", filter = local.counted["errors"], aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = ["resource.label.service_name"], seconds = 300 }]
    },
    {
      title  = "Sweeps, a minute"
      series = [{ legend = "", filter = local.counted["sweeps"], aligner = "ALIGN_SUM", reducer = "REDUCE_SUM", by = [], seconds = 60 }]
    },
    {
      title = "Requests, a second"
      series = [{
        legend  = ""
        filter  = "metric.type=\"run.googleapis.com/request_count\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"signalbox-.*\")"
        aligner = "ALIGN_RATE", reducer = "REDUCE_SUM", by = ["resource.label.service_name", "metric.label.response_code_class"], seconds = 60
      }]
    },
    {
      title = "95th percentile of the time of a request, milliseconds"
      series = [{
        legend  = ""
        filter  = "metric.type=\"run.googleapis.com/request_latencies\" AND resource.type=\"cloud_run_revision\" AND resource.labels.service_name=monitoring.regex.full_match(\"signalbox-.*\")"
        aligner = "ALIGN_DELTA", reducer = "REDUCE_PERCENTILE_95", by = ["resource.label.service_name"], seconds = 60
      }]
    },
  ]
}

# Google leaves zeros and what is empty out of its answer, so saying it would be a change in every plan. Source:
# github.com/hashicorp/terraform-provider-google/issues/16173.
resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = "Signalbox"
    mosaicLayout = {
      columns = 48
      tiles = [
        for number, chart in local.charts : merge(
          { for axis, at in { xPos = number % 2 * 24, yPos = floor(number / 2) * 16 } : axis => at if at > 0 },
          {
            width  = 24
            height = 16
            widget = {
              title = chart.title
              xyChart = {
                dataSets = [
                  for series in chart.series : merge(
                    { for name, legend in { legendTemplate = series.legend } : name => legend if legend != "" },
                    {
                      plotType = "LINE"
                      timeSeriesQuery = {
                        timeSeriesFilter = {
                          filter = series.filter
                          aggregation = merge(
                            { for name, fields in { groupByFields = series.by } : name => fields if length(fields) > 0 },
                            {
                              alignmentPeriod    = "${series.seconds}s"
                              perSeriesAligner   = series.aligner
                              crossSeriesReducer = series.reducer
                            },
                          )
                        }
                      }
                    },
                  )
                ]
              }
            }
          },
        )
      ]
    }
  })

  depends_on = [google_project_service.this]
}
