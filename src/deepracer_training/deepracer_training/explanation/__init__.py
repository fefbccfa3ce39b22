"""Where on the track a model loses time, leaves the road, weaves or steers as far as it can."""
