"""What a person looks at: pictures, video and the HTML page of an evaluation."""
